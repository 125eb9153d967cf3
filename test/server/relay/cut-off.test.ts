import { spawnSync } from 'node:child_process';
import { truncate } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { openAppend } from '../../../src/client/index.ts';
import { pattern } from '../../support/pattern.ts';
import { CommandHere } from '../../support/programs/command.ts';
import { startProgram } from '../../support/programs/program.ts';
import { type Origin, startOrigin, startRelay } from '../../support/relay/origin.ts';
import { headOf, ScriptedServer } from '../../support/relay/scripted.ts';
import { SseReader } from '../../support/streams/sse-reader.ts';
import { waitFor, waitForSize } from '../../support/wait-for.ts';
import { Peer } from '../../support/websocket/peer.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

/** `CURLE_PARTIAL_FILE`: less came than was to come. */
const CURL_PARTIAL = 18;

/** Of `httpfstream-follow`: what it has written is not all. */
const INCOMPLETE = 3;

/** What it was reading is not there any more. */
const GONE = 4;

/** Of what is told as a failure. */
const CLOSED_AS_INTERRUPTED = 1011;

const PART = 'a part of it ';

const hasCurl = spawnSync('curl', ['--version']).error === undefined;
if (!hasCurl) process.stderr.write('curl is not here: it is not tried with what is cut off\n');

/** The last of three relays, one behind the other. */
async function thirdRelayOf(upstream: string): Promise<Origin> {
  const first = await startRelay(upstream);
  const second = await startRelay(first.url(''));
  return startRelay(second.url(''));
}

/** A file of which a part is there, and the last of three relays. */
async function startPart() {
  const origin = await startOrigin({ graceMs: 0 });
  const relay = await thirdRelayOf(origin.url(''));
  const appender = openAppend(origin.url('/f')).on('error', () => undefined);
  appender.write(PART);
  const file = path.join(origin.root, 'f');
  await waitForSize(file, PART.length);
  return { relay, appender, file, url: relay.url('/f') };
}

/** The exit codes of curl, if it is here, which has read as much as that before `cut` is called. */
async function exitCodesOfCurl(urls: readonly string[], bytes: number, cut: () => unknown) {
  const programs = urls.map((url) => startProgram('curl', ['-sN', url]));
  const haveIt = () => programs.every((program) => program.stdout().length === bytes);
  await waitFor(haveIt, 'the part to be with curl');
  cut();
  return Promise.all(programs.map(async ({ ended }) => (await ended).exitCode));
}

describe('what is cut off at the origin is cut off behind three relays', () => {
  test('for followers of every kind', async () => {
    const { url, appender } = await startPart();
    const command = new CommandHere(runFollow, [url]);
    const events = await SseReader.open(url);
    const peer = await V2Peer.follow(url);
    const legacy = await Peer.connect(url, 'FOLLOW');
    const haveIt = () =>
      [command.stdout.toString(), events.data, peer.text, legacy.text].every((text) => text === PART);
    await waitFor(haveIt, 'the part to be with all');
    appender.destroy();
    expect(await command.exit).toBe(INCOMPLETE);
    await peer.closed();
    expect(peer.ending).toEqual(['interrupted', CLOSED_AS_INTERRUPTED]);
    expect((await legacy.closed()).code).toBe(CLOSED_AS_INTERRUPTED);
    expect(events.isEnded).toBe(false);
    // And for who comes later.
    expect(await new CommandHere(runFollow, [url]).exit).toBe(INCOMPLETE);
  });

  test('when the file is cut there', async () => {
    const { url, file } = await startPart();
    const command = new CommandHere(runFollow, [url]);
    const peer = await V2Peer.follow(url);
    const overHttp = fetch(`${url}?verb=FOLLOW`).then((response) => response.text());
    overHttp.catch(() => undefined);
    await waitFor(() => command.stdout.toString() === PART && peer.text === PART, 'the part to be with all');
    await truncate(file, 3);
    await expect(overHttp).rejects.toThrow();
    expect(await command.exit).toBe(GONE);
    await peer.closed();
    expect(peer.end?.reason).toBe('truncated');
  });

  test.runIf(hasCurl)('for curl', async () => {
    const { url, appender } = await startPart();
    const urls = [`${url}?verb=FOLLOW`];
    expect(await exitCodesOfCurl(urls, PART.length, () => appender.destroy())).toEqual([CURL_PARTIAL]);
    expect(await exitCodesOfCurl(urls, PART.length, () => undefined)).toEqual([CURL_PARTIAL]);
  });
});

describe('what a plain HTTP server has cut off is cut off behind three relays', () => {
  const SIZE = 200_000;

  const HANG_MS = 20_000;

  async function start(headers: Record<string, string | number>, body: Buffer) {
    const server = await ScriptedServer.start((_request, socket) => {
      socket.write(headOf('200 OK', headers));
      socket.write(body);
      cuts.push(() => socket.destroySoon());
    });
    const cuts: (() => void)[] = [];
    const relay = await thirdRelayOf(server.url);
    const cut = () => {
      for (const end of cuts.splice(0)) end();
    };
    return { relay, cut };
  }

  const chunk = Buffer.concat([
    Buffer.from(`${SIZE.toString(16)}\r\n`),
    pattern(0, SIZE),
    Buffer.from('\r\n'),
  ]);

  const KINDS: [string, Record<string, string | number>, Buffer][] = [
    ['a length', { 'Content-Length': SIZE + 1 }, pattern(0, SIZE)],
    ['a length, not kept', { 'Content-Length': SIZE + 1, 'Cache-Control': 'no-store' }, pattern(0, SIZE)],
    ['chunks', { 'Transfer-Encoding': 'chunked' }, chunk],
    ['chunks, not kept', { 'Transfer-Encoding': 'chunked', 'Cache-Control': 'no-store' }, chunk],
  ];

  test.each(KINDS)('of %s', async (_kind, headers, body) => {
    const { relay, cut } = await start(headers, body);
    const response = await fetch(relay.url('/f'));
    const reader = response.body?.getReader();
    let count = 0;
    while (count < SIZE) count += (await reader?.read())?.value?.length ?? Number.NaN;
    expect(count).toBe(SIZE);
    cut();
    await expect(reader?.read()).rejects.toThrow();
    // Nor is it whole for who asks now: it is begun anew, or said that it cannot be had.
    const again = await fetch(relay.url('/f'), { signal: AbortSignal.timeout(HANG_MS) });
    cut();
    await expect(again.status === 200 ? again.arrayBuffer() : Promise.reject(new Error())).rejects.toThrow();
  });

  test.runIf(hasCurl).each(KINDS)('for curl, of %s', async (_kind, headers, body) => {
    const { relay, cut } = await start(headers, body);
    const urls = [relay.url('/f'), relay.url('/f')];
    for (const code of await exitCodesOfCurl(urls, SIZE, cut)) {
      expect(code).toBe(CURL_PARTIAL);
    }
  });
});
