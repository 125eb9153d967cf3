import { once } from 'node:events';
import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { type FollowOptions, follow, openAppend } from '../../../src/client/index.ts';
import { isOpen } from '../../support/disk/descriptors.ts';
import { RotatingLog } from '../../support/disk/rotating-log.ts';
import { get } from '../../support/http/request.ts';
import { CommandHere } from '../../support/programs/command.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { waitFor, waitForSize } from '../../support/wait-for.ts';

async function pair() {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  return { origin, relay, file: path.join(origin.root, 'f'), url: relay.url('/f') };
}

/**
 * What one gets who comes back, and how it ends.
 *
 * @param heard called with each piece that comes
 */
async function pass(url: string, options: FollowOptions = {}, heard = () => {}) {
  const stream = follow(url, { hold: 300, ...options });
  let text = '';
  const error = await (async () => {
    for await (const chunk of stream) {
      text += chunk;
      heard();
    }
  })().catch(({ code }) => code);
  const { position: from, generation } = stream;
  return {
    text,
    error,
    next: stream.ending.next,
    start: { from, ...(generation !== undefined && { generation }) },
  };
}

/** Goes on until there is something new, or another end. */
async function passUntilNew(url: string, start: FollowOptions) {
  let last = await pass(url, start);
  await waitFor(async () => {
    if (last.text !== '' || last.error !== undefined) return true;
    last = await pass(url, start);
    return false;
  }, 'something new');
  return last;
}

describe('those who come back after each end', () => {
  test('join what is live, over the one connection that there is, also when somebody else has begun it', async () => {
    const { origin, relay, file, url } = await pair();
    const appender = openAppend(origin.url('/f'));
    appender.write('one ');
    await waitForSize(file, 4);
    const first = pass(url, { hold: 0 });
    await waitForSize(path.join(relay.root, 'f'), 4);
    const asked = origin.requests.length;
    let joined = 0;
    const others = Array.from({ length: 20 }, () => pass(url, {}, () => joined++));
    await waitFor(
      () => origin.requests.length > asked && joined === 20,
      'it to be held, and all to have joined',
    );
    appender.end('two');
    const passes = await Promise.all([first, ...others]);
    expect(new Set(passes.map(({ text, error }) => text + error))).toEqual(new Set(['one twoundefined']));
    const { generation } = passes[0]?.start ?? {};
    expect(origin.requests.slice(asked)).toEqual([
      `GET /f?from=4&generation=${generation}&hold=300 FOLLOW WebSocket`,
    ]);
  });

  test('ask once a second for what has ended, however many they are, and get what has come', async () => {
    const { origin, file, url } = await pair();
    await writeFile(file, 'one');
    await get(url);
    // What was looked at a moment ago is not kept yet.
    const { start } = await pass(url);
    expect(origin.requests.at(-1)).toMatch(/&hold=300 FOLLOW/);
    const asked = origin.requests.length;
    await appendFile(file, ' two');
    const next = await passUntilNew(url, start);
    const all = await Promise.all(Array.from({ length: 20 }, () => pass(url, start)));
    expect(new Set(all.map(({ text }) => text))).toEqual(new Set([next.text]));
    expect(next.text).toBe(' two');
    const looks = origin.requests.slice(asked);
    expect(looks.length).toBeLessThanOrEqual(3);
    expect(looks.every((request) => /&hold=\d+ FOLLOW WebSocket$/.test(request))).toBe(true);
  });

  test('get the rest of a file that is replaced, and are told by which; others get what is there', async () => {
    const { origin, relay, file, url } = await pair();
    const log = new RotatingLog(file);
    onTestFinished(() => log.close());
    log.writeAtOnce(10);
    let last = await pass(url);
    log.rename();
    log.create();
    log.writeAtOnce(1);
    // As long as the new one is empty, and the old one is written to, it ends as if that were still there.
    last = await passUntilNew(url, last.start);
    expect([last.text, last.error]).toEqual(['line 10\n', undefined]);
    expect((await get(url)).text).toBe('');
    log.writeAtOnce(1);
    last = await passUntilNew(url, last.start);
    expect(last.text).toBe('line 11\n');
    log.reopen();
    log.writeAtOnce(5);
    await waitFor(async () => {
      last = await pass(url, last.start);
      return last.error !== undefined;
    }, 'it to be told');
    expect([last.text, last.error]).toEqual(['', 'HFS_RESOURCE_GONE']);
    const asked = origin.requests.length;
    const rest = log.text.slice(log.text.indexOf('line 12'));
    const start = { from: 0, generation: last.next as number };
    expect((await passUntilNew(url, start)).text).toBe(rest);
    const passes = await Promise.all(Array.from({ length: 10 }, () => pass(url, start)));
    expect(new Set(passes.map(({ text }) => text))).toEqual(new Set([rest]));
    // At the relay nothing is kept for them.
    await waitFor(async () => !(await isOpen(path.join(relay.root, 'f'))), 'the copies to be closed');
    expect(origin.requests.length - asked).toBeLessThanOrEqual(3);
  });

  test('are told that it was cut, be it longer again when they ask', async () => {
    const { file, url } = await pair();
    await writeFile(file, 'old lines\n');
    const { start } = await pass(url);
    expect(await pass(url, start)).toMatchObject({ text: '', error: undefined });
    await truncate(file);
    // Has the origin look.
    await waitFor(async () => (await get(url)).text === '', 'the cut to be seen');
    await appendFile(file, 'new lines, and more of them\n');
    await waitFor(async () => (await get(url)).text.startsWith('new'), 'the new lines');
    expect(await pass(url, start)).toMatchObject({ text: '', error: 'HFS_STREAM_TRUNCATED' });
    expect((await pass(url, { ...start, from: 0 })).text).toBe(await readFile(file, 'utf8'));
  });

  test('with httpfstream-follow -F get each line once, in order, however the file is rotated', async () => {
    const { file, url } = await pair();
    const log = new RotatingLog(file);
    log.writeAtOnce(10);
    const command = new CommandHere(runFollow, ['-F', url]);
    onTestFinished(() => log.close());
    await waitFor(() => command.stdout.toString() === log.text, 'the beginning');
    await log.write(30);
    log.rename();
    log.reopen();
    await log.write(30);
    log.unlink();
    await log.write(30);
    log.reopen();
    await log.write(30);
    await waitFor(() => command.stdoutBytes >= log.text.length, 'all lines');
    expect(command.stdout.toString()).toBe(log.text);
    expect(command.stderr).not.toContain('lost');
  });

  test('with httpfstream-follow -F read one append after the other from here', async () => {
    const { origin, file, url } = await pair();
    const first = openAppend(origin.url('/f'));
    first.write('one ');
    await waitForSize(file, 4);
    const commands = [new CommandHere(runFollow, ['-F', url]), new CommandHere(runFollow, ['-F', url])];
    const shown = (text: string) =>
      waitFor(() => commands.every(({ stdout }) => stdout.toString() === text), `all to show ${text}`);
    await shown('one ');
    first.end('two ');
    await once(first, 'close');
    await shown('one two ');
    const asked = origin.requests.length;
    const second = openAppend(origin.url('/f'));
    second.write('three ');
    await shown('one two three ');
    second.end('four');
    await shown('one two three four');
    const follows = origin.requests.slice(asked).filter((request) => request.includes('FOLLOW'));
    expect(new Set(follows.map((request) => request.replace(/hold=\d+/, '')))).toHaveProperty(
      'size',
      follows.length,
    );
  });
});
