import { appendFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { append } from '../../../src/client/index.ts';
import { Copies } from '../../../src/relay/copies/copies.ts';
import { Copying } from '../../../src/relay/pull/copying.ts';
import { fetchAnswer } from '../../../src/relay/pull/fetched-answer.ts';
import { HeldPaths } from '../../../src/relay/pull/held-paths.ts';
import { Overflow } from '../../../src/relay/pull/overflow.ts';
import { PullLog } from '../../../src/relay/pull/pull-log.ts';
import { PullProgress } from '../../../src/relay/pull/pull-state.ts';
import { Forwarder } from '../../../src/relay/upstream/forward.ts';
import { Upstream } from '../../../src/relay/upstream/upstream.ts';
import { parseUpstream } from '../../../src/relay/upstream/upstream-option.ts';
import { UpstreamRequest } from '../../../src/relay/upstream/upstream-request.ts';
import { F, NOBODY, startRelay } from '../../support/relay/bare-relay.ts';
import { chunked, headOf, rangeStart, ScriptedServer, say } from '../../support/relay/scripted.ts';
import { waitFor, waitForSize } from '../../support/wait-for.ts';

const CHUNKED = headOf('200 OK', { 'Transfer-Encoding': 'chunked', ETag: '"one"' });

test('a part that has all bytes, but not their end, is fetched anew', async () => {
  const body = 'content';
  const server = await ScriptedServer.start((request, socket) => {
    const whole = chunked(body);
    if (rangeStart(request) >= body.length) {
      say(socket, '416 Range Not Satisfiable', { 'Content-Range': `bytes */${body.length}` }, '');
    } else if (request.number > 0) socket.write(Buffer.concat([Buffer.from(CHUNKED), whole]));
    else {
      socket.write(Buffer.concat([Buffer.from(CHUNKED), whole.subarray(0, -5)]));
      void waitForSize(path.join(root, 'f'), body.length).then(() => socket.destroy());
    }
  });
  const { relay, root } = await startRelay({ upstreams: [parseUpstream(server.url)] });
  await relay.ready(F, NOBODY);
  await waitFor(() => !relay.isFetching(F), 'it to break');
  expect((await relay.storedAt(F))?.copied.outcome?.reason).not.toBe('finished');
  relay.changed(F);
  await relay.ready(F, NOBODY);
  await waitFor(() => !relay.isFetching(F), 'all of it');
  expect((await relay.storedAt(F))?.copied).toMatchObject({ size: 7, outcome: { reason: 'finished' } });
  expect(server.requests.at(-1)?.headers.range).toBeUndefined();
});

test('an answer of which a part was appended is not given to who has asked first', async () => {
  const server = await ScriptedServer.start((_request, socket) => {
    socket.write(Buffer.concat([Buffer.from(CHUNKED), chunked('too long')]));
  });
  const { core } = await startRelay();
  const upstream = new Upstream(parseUpstream(server.url));
  const forwarder = new Forwarder();
  onTestFinished(() => forwarder.close());
  const request = new UpstreamRequest(
    { path: F, upstream, via: '1.1 relay', signal: NOBODY.signal },
    { forwarder, headTimeoutMs: 30_000, silenceMs: 30_000 },
  );
  const none = () => undefined;
  const copy = new Copies(core, Number.MAX_SAFE_INTEGER).at(F);
  const copying = new Copying(request, copy, new PullProgress(), {
    sessions: core.sessions,
    held: new HeldPaths(),
    log: new PullLog({ debug: none, info: none, warn: none }, F, upstream),
    maxBytes: 3,
  });
  const use = { revalidates: false, looksOnly: false, overflow: new Overflow() };
  const answered = await fetchAnswer(copying, undefined, use);
  expect(answered).toMatchObject({ verdict: { kind: 'bypass' }, offered: undefined });
  await copying.lease?.end('shutdown');
});

test('a copy that another program changes while it is opened is fetched anew', async () => {
  const { core, origin, relay, root, lines } = await startRelay();
  await append(origin.url('/f'), ['one']);
  await relay.ready(F, NOBODY);
  await waitFor(() => !relay.isFetching(F), 'it to be here');
  await append(origin.url('/f'), ['two']);
  relay.changed(F);
  const open = core.sessions.open.bind(core.sessions);
  vi.spyOn(core.sessions, 'open').mockImplementationOnce(async (...request) => {
    await appendFile(path.join(root, 'f'), 'other');
    return open(...request);
  });
  await relay.ready(F, NOBODY);
  await waitFor(() => !relay.isFetching(F), 'all of it');
  expect(await readFile(path.join(root, 'f'), 'utf8')).toBe('onetwo');
  expect(lines.filter((line) => line.startsWith('pull closed'))[1]).toContain(
    '"kept":false,"why":"changed by another program"',
  );
});

test('the log is told how much each of the pulls of a file has brought', async () => {
  const { origin, relay, lines } = await startRelay();
  for (const [i, text] of ['one', 'more'].entries()) {
    await append(origin.url('/f'), [text]);
    relay.changed(F);
    await relay.ready(F, NOBODY);
    await waitFor(() => lines.filter((line) => line.startsWith('pull closed')).length > i, 'its end');
  }
  const bytes = lines.map((line) => /"bytes":(\d+)/.exec(line)?.[1]).filter((count) => count !== undefined);
  expect(bytes).toEqual(['3', '4']);
});
