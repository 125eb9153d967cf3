import { expect, it, onTestFinished } from 'vitest';
import { FileSearch } from '../../../src/page/search/file-search.ts';
import {
  linesOf,
  type Search,
  SearchRefusedError,
  type SearchText,
  searchOf,
} from '../../../src/page/search/search-stream.ts';
import type { SearchLine } from '../../../src/wire/page-requests.ts';
import { waitFor } from '../../support/wait-for.ts';

const TEXT: SearchText = { text: 'ab', mode: 'literal', case: 'smart', per: 'match' };

/** Searches a text as the server does, but for what is near first. */
function searchIn(content: () => string): Search {
  return async function* (_text, { from, direction, limit }) {
    const text = content();
    const found = [...text.matchAll(/ab/g)]
      .map(({ index }) => index)
      .filter((at) => direction === 'both' || at >= from);
    const outward = [...found.filter((at) => at >= from), ...found.filter((at) => at < from).reverse()];
    for (const at of outward.slice(0, limit)) yield { at, length: 2, lineStart: at, lineEnd: at + 2 };
    const end = found.length > limit ? 'limit' : 'complete';
    yield {
      end,
      searched: [direction === 'both' ? 0 : from, text.length],
      count: Math.min(limit, found.length),
    };
  };
}

function start(search: Search, from = 0, maxMatches?: number): FileSearch {
  const searching = new FileSearch(search, TEXT, from, () => {}, maxMatches);
  onTestFinished(() => searching.stop());
  return searching;
}

const isDone = (search: FileSearch) =>
  waitFor(() => search.state.kind !== 'searching', 'the end of a search');

const placesOf = ({ results }: FileSearch) =>
  Array.from({ length: results.count }, (_, i) => results.at(i)?.at);

it('has what was found in the order of the file, and the next and the last one from anywhere', async () => {
  const search = start(
    searchIn(() => 'ab ab ab ab'),
    4,
  );
  await isDone(search);
  expect(search.state).toEqual({ kind: 'done', end: 'complete' });
  expect(placesOf(search)).toEqual([0, 3, 6, 9]);
  expect([0, 1, 6, 7, 10].map((position) => search.results.indexFrom(position))).toEqual([0, 1, 2, 3, 4]);
  expect(search.results.searched).toEqual([0, 11]);
});

it('finds what comes later, and nothing twice', async () => {
  let content = 'ab ';
  const search = start(searchIn(() => content));
  await isDone(search);
  content = 'ab ab ab';
  search.grown(content.length);
  await waitFor(() => search.results.count === 3, 'what has come');
  expect(placesOf(search)).toEqual([0, 3, 6]);
});

it('keeps so many matches, and says that there are more', async () => {
  const search = start(
    searchIn(() => 'ab ab ab ab'),
    0,
    2,
  );
  await isDone(search);
  expect(search.state).toEqual({ kind: 'done', end: 'limit' });
  expect(placesOf(search)).toEqual([0, 3]);
});

it('says that it was cut off, and what is wrong with what is searched for', async () => {
  const cut = start(async function* (): AsyncGenerator<SearchLine> {
    yield { progress: [0, 1], count: 0 };
  });
  await isDone(cut);
  expect(cut.state).toEqual({ kind: 'failed', detail: 'the answer was cut off' });
  const invalid = start(async function* (): AsyncGenerator<SearchLine> {
    yield { end: 'invalid', searched: [0, 0], count: 0, detail: 'Nothing to repeat' };
  });
  await isDone(invalid);
  expect(invalid.state).toEqual({ kind: 'invalid', detail: 'Nothing to repeat' });
});

it('asks again when the server has too much to do, and goes on with what comes then', async () => {
  let attempts = 0;
  let content = 'ab';
  const search = start(async function* (...asked) {
    attempts++;
    if (attempts === 1) throw new SearchRefusedError('busy', 1);
    yield* searchIn(() => content)(...asked);
  });
  await isDone(search);
  expect([search.state.kind, attempts]).toEqual(['done', 2]);
  content = 'ab ab';
  search.grown(content.length);
  await waitFor(() => search.results.count === 2, 'what has come');
});

it('goes on with what comes when the server is back', async () => {
  let content = 'ab';
  let isAway = false;
  const search = start(async function* (...asked) {
    if (isAway) throw new TypeError('Failed to fetch');
    yield* searchIn(() => content)(...asked);
  });
  await isDone(search);
  isAway = true;
  content = 'ab ab';
  search.grown(content.length);
  await waitFor(() => search.state.kind === 'failed', 'what is said of the failure');
  isAway = false;
  content = 'ab ab ab';
  search.grown(content.length);
  await waitFor(() => search.results.count === 3, 'what has come');
  expect(search.state).toEqual({ kind: 'done', end: 'complete' });
});

it('asks once at a time, however much comes', async () => {
  let content = 'ab';
  let underWay = 0;
  let most = 0;
  const letGo = [() => {}];
  const search = start(async function* (...asked) {
    most = Math.max(most, ++underWay);
    if (asked[1].direction === 'forward') await new Promise<void>((resolve) => letGo.push(resolve));
    yield* searchIn(() => content)(...asked);
    underWay--;
  });
  await isDone(search);
  content = 'ab ab';
  search.grown(content.length);
  await waitFor(() => letGo.length === 2, 'the search in what has come');
  content = 'ab ab ab';
  search.grown(content.length);
  search.grown(content.length);
  letGo[1]!();
  await waitFor(() => search.results.count === 3, 'what has come meanwhile');
  expect(most).toBe(1);
});

it('has the whole of a line that was being written when it was found', async () => {
  let content = 'ab so';
  const search = start(async function* (_text, { from }) {
    yield { at: 0, length: 2, lineStart: 0, lineEnd: content.length };
    yield { end: 'complete', searched: [from, content.length], count: 1 };
  });
  await isDone(search);
  content = 'ab so far';
  search.grown(content.length);
  await waitFor(() => search.results.at(0)?.lineEnd === content.length, 'the line as it is now');
  expect(search.results.count).toBe(1);
});

it('looks anew in a line that was being written: what was there may be elsewhere, or nowhere', async () => {
  let content = '1 2\n3 4 5';
  // Numbers at the end of their line, or before a +.
  const search = start(async function* (_text, { from }) {
    for (const { index } of content.matchAll(/\d(?=$| \+)/gm)) {
      const lineStart = content.lastIndexOf('\n', index) + 1;
      const lineEnd = content.indexOf('\n', index);
      yield { at: index, length: 1, lineStart, lineEnd: lineEnd < 0 ? content.length : lineEnd };
    }
    yield { end: 'complete', searched: [from, content.length], count: 0 };
  });
  await isDone(search);
  expect(placesOf(search)).toEqual([2, 8]);
  content = '1 2\n3 4 5 and more';
  search.grown(content.length);
  await waitFor(() => search.results.count === 1, 'the match that is none any more to be gone');
  expect(placesOf(search)).toEqual([2]);
  content = '1 2\n3 4 5 and more 6';
  search.grown(content.length);
  await waitFor(() => search.results.count === 2, 'another match');
  content = '1 2\n3 + 4 5 and more 6 +\n7';
  search.grown(content.length);
  await waitFor(() => search.results.count === 4, 'one that is before it');
  expect(placesOf(search)).toEqual([2, 4, 21, 25]);
});

it.each(['deadline', 'limit'] as const)(
  'keeps what it has found in a line that is searched again, when that ends early: %s',
  async (end) => {
    let content = 'ab ab ab';
    const search = start(async function* (_text, { from, direction }) {
      const isAgain = direction === 'forward';
      for (const at of isAgain ? [0] : [0, 3, 6])
        yield { at, length: 2, lineStart: 0, lineEnd: content.length };
      if (isAgain) yield { end, searched: [from, 2], count: 1 };
      else yield { end: 'complete', searched: [from, content.length], count: 3 };
    });
    await isDone(search);
    content = 'ab ab ab and more';
    search.grown(content.length);
    await waitFor(() => search.state.kind === 'done' && search.state.end === end, 'the end of the search');
    expect(placesOf(search)).toEqual([0, 3, 6]);
  },
);

it('ends the answer when nobody wants it any more', async () => {
  let signalled: AbortSignal | undefined;
  const search = start(async function* (_text, _place, signal): AsyncGenerator<SearchLine> {
    signalled = signal;
    yield { progress: [0, 1], count: 0 };
    await new Promise(() => {});
  });
  await waitFor(() => signalled !== undefined, 'the request');
  search.stop();
  expect(signalled?.aborted).toBe(true);
});

it.each([429, 503])('is told by %i when to ask again', async (status) => {
  const search = searchOf(async () => new Response('busy', { status, headers: { 'retry-after': '2' } }));
  const { signal } = new AbortController();
  const lines = search(TEXT, { from: 0, direction: 'both', limit: 1 }, signal);
  await expect(lines[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    name: 'SearchRefusedError',
    retryMs: 2000,
  });
});

it('reads lines however their bytes come, and cancels what is not taken', async () => {
  const bytes = Buffer.from(
    '{"progress":[0,1],"count":0}\n{"end":"invalid","searched":[0,0],"count":0,"detail":"ö"}\n',
  );
  let isCancelled = false;
  const body = (pieceBytes: number) => {
    let at = 0;
    return new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= bytes.length) return controller.close();
        controller.enqueue(bytes.subarray(at, at + pieceBytes));
        at += pieceBytes;
      },
      cancel() {
        isCancelled = true;
      },
    });
  };
  for (const pieceBytes of [1, 7, 1000]) {
    const lines: SearchLine[] = [];
    for await (const line of linesOf(body(pieceBytes))) lines.push(line);
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatchObject({ detail: 'ö' });
  }
  expect(isCancelled).toBe(false);
  for await (const _line of linesOf(body(7))) break;
  expect(isCancelled).toBe(true);
});
