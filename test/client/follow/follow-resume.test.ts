import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, rm, truncate, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  append,
  type FollowOptions,
  type FollowStream,
  follow,
  openAppend,
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamInterruptedError,
  StreamTruncatedError,
} from '../../../src/client/index.ts';
import { Random } from '../../support/random.ts';
import { waitFor } from '../../support/wait-for.ts';
import { QUICK, readingError, startNetwork } from '../client-server.ts';

const MIB = 1024 * 1024;

function startFollow(url: string, options: FollowOptions = {}): FollowStream {
  const readable = follow(url, { retry: QUICK, ...options });
  readable.on('error', () => undefined);
  onTestFinished(() => {
    readable.destroy();
  });
  return readable;
}

async function startAppend(url: string) {
  const writable = openAppend(url);
  writable.on('error', () => undefined);
  onTestFinished(() => {
    writable.destroy();
  });
  await once(writable, 'open');
  return writable;
}

/** Reads on until `count` bytes in all were read. */
async function read(readable: FollowStream, count: number): Promise<string> {
  let bytes = Buffer.alloc(0);
  await waitFor(() => {
    const chunk: Buffer | null = readable.read();
    if (chunk !== null) bytes = Buffer.concat([bytes, chunk]);
    return bytes.length >= count;
  }, `${count} bytes`);
  return String(bytes);
}

describe('a follower', () => {
  test('gets every byte once over 20 cuts at random places', async () => {
    const { network, url, directUrl } = await startNetwork();
    const bytes = randomBytes(12 * MIB);
    const random = Random.fromEnvironment();
    const writable = await startAppend(directUrl);
    let reconnects = 0;
    const readable = startFollow(url, { onReconnect: () => reconnects++ });
    const chunks: Buffer[] = [];
    let nextCut = 0;
    let cuts = 0;
    const followed = (async () => {
      for await (const chunk of readable) {
        chunks.push(chunk);
        // A connection that was cut may still bring what was under way.
        if (cuts === 20 || reconnects < cuts || readable.position < nextCut) continue;
        cuts++;
        nextCut = readable.position + random.integer(1, 300_000);
        if (random.chance(0.5)) network.cutAll();
        else network.resetAll();
      }
    })();
    for (let at = 0; at < bytes.length; ) {
      const size = random.logInteger(1, 400_000);
      if (!writable.write(bytes.subarray(at, at + size))) await once(writable, 'drain');
      at += size;
    }
    await writable.close();
    await followed;
    expect(Buffer.concat(chunks).equals(bytes), `HTTPFSTREAM_SEED=${random.seed}`).toBe(true);
    expect(cuts).toBe(20);
    expect(reconnects).toBeGreaterThanOrEqual(20);
    expect([readable.position, readable.reason]).toEqual([bytes.length, 'finished']);
  });

  test('that is paused while it is cut gets every byte once', async () => {
    const { network, url, file, directUrl } = await startNetwork();
    const bytes = randomBytes(20 * MIB);
    await writeFile(file, bytes.subarray(0, 16 * MIB));
    const writable = await startAppend(directUrl);
    const readable = startFollow(url);
    const chunks: Buffer[] = [];
    for (let i = 0; i < 5; i++) {
      await once(readable, 'readable');
      chunks.push(readable.read());
      network.resetAll();
    }
    writable.end(bytes.subarray(16 * MIB));
    chunks.push(await buffer(readable));
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  });

  test('of what ended while it was away gets the rest and the end', async () => {
    const { network, url, directUrl } = await startNetwork();
    const writable = await startAppend(directUrl);
    const readable = startFollow(url);
    writable.write('before ');
    expect(await read(readable, 7)).toBe('before ');
    network.refuse(true);
    network.resetAll();
    writable.write('after');
    await writable.close();
    network.refuse(false);
    expect(String(await buffer(readable))).toBe('after');
    expect(readable.reason).toBe('finished');
  });

  test('of what was interrupted while it was away is told so, after the rest', async () => {
    const { server, network, url, directUrl } = await startNetwork();
    const writable = await startAppend(directUrl);
    const readable = startFollow(url);
    writable.write('before ');
    expect(await read(readable, 7)).toBe('before ');
    network.refuse(true);
    network.resetAll();
    writable.write('after');
    await waitFor(() => writable.acknowledgedBytes === 12, 'the acknowledgement');
    writable.destroy();
    await readingError(follow(server.url('/a')));
    network.refuse(false);
    expect(await read(readable, 5)).toBe('after');
    expect(await readingError(readable)).toBeInstanceOf(StreamInterruptedError);
    expect(readable.reason).toBe('interrupted');
  });

  test('is told when its appender is away and when it is back', async () => {
    const { network, url, directUrl } = await startNetwork();
    const writable = openAppend(url, { retry: QUICK });
    await once(writable, 'open');
    const readable = startFollow(directUrl);
    const [opening] = await once(readable, 'open');
    expect(opening).toEqual({ generation: expect.any(Number), position: 0, live: true, size: 0 });
    network.refuse(true);
    network.resetAll();
    await once(readable, 'waiting');
    const isLive = once(readable, 'live');
    network.refuse(false);
    await isLive;
    await writable.close();
    expect(await buffer(readable)).toHaveLength(0);
  });
});

describe('a follower begins', () => {
  const text = 'one\ntwo\nthree\n';

  test.each([
    [{}, 0],
    [{ from: 4 }, 4],
    [{ from: 14 }, 14],
    [{ from: -6 }, 8],
    [{ from: -1000 }, 0],
    [{ lines: 0 }, 14],
    [{ lines: 2 }, 4],
    [{ lines: 99 }, 0],
  ])('with %j at %d, of a live and of an idle file, and goes on from there', async (options, position) => {
    const { network, url, directUrl } = await startNetwork();
    await append(directUrl, [text]);
    const idle = startFollow(url, options);
    const [idleOpening] = await once(idle, 'open');
    expect(idleOpening).toMatchObject({ position, live: false });
    expect(String(await buffer(idle))).toBe(text.slice(position));
    const writable = await startAppend(directUrl);
    const live = startFollow(url, options);
    const [liveOpening] = await once(live, 'open');
    expect(liveOpening).toMatchObject({ position, live: true });
    expect(await read(live, text.length - position)).toBe(text.slice(position));
    network.resetAll();
    writable.write('four\n');
    await writable.close();
    expect(String(await buffer(live))).toBe('four\n');
    expect(live.position).toBe(text.length + 5);
  });

  test('nowhere beyond the end, and not in another generation', async () => {
    const { url, directUrl } = await startNetwork();
    await append(directUrl, [text]);
    expect(await readingError(startFollow(url, { from: 15 }))).toBeInstanceOf(RangeNotSatisfiableError);
    const readable = startFollow(url);
    await buffer(readable);
    const generation = readable.generation as number;
    expect(String(await buffer(startFollow(url, { generation, from: 8 })))).toBe('three\n');
    expect(await readingError(startFollow(url, { generation: generation + 1 }))).toBeInstanceOf(
      ResourceGoneError,
    );
  });

  test('when what it waits for is there, also when it was cut meanwhile', async () => {
    const { network, url, directUrl } = await startNetwork();
    const readable = startFollow(url, { wait: 20 });
    await once(readable, 'waiting');
    network.resetAll();
    await once(readable, 'waiting');
    await append(directUrl, [text]);
    expect(String(await buffer(readable))).toBe(text);
  });

  test('not at all when what it waits for does not come', async () => {
    const { url } = await startNetwork();
    expect(await readingError(startFollow(url))).toBeInstanceOf(ResourceNotFoundError);
    const readable = startFollow(url, { wait: 0.2 });
    expect(await readingError(readable)).toBeInstanceOf(ResourceNotFoundError);
  });
});

describe('a follower whose file is', () => {
  test.each([
    ['deleted', (file: string) => rm(file), ResourceGoneError],
    ['cut', (file: string) => truncate(file, 3), StreamTruncatedError],
  ] as const)('%s while it follows is told so, after what came before', async (reason, change, type) => {
    const { url, file, directUrl } = await startNetwork();
    const writable = await startAppend(directUrl);
    const readable = startFollow(url);
    writable.write('hello');
    readable.read(0);
    await waitFor(() => readable.readableLength === 5, 'the bytes');
    await change(file);
    writable.write('more');
    expect(await read(readable, 5)).toBe('hello');
    expect(await readingError(readable)).toBeInstanceOf(type);
    expect(readable.reason).toBe(reason === 'cut' ? 'truncated' : 'deleted');
  });

  test.each([
    ['deleted', (file: string) => rm(file), ResourceGoneError],
    [
      'deleted and made anew',
      (file: string) => rm(file).then(() => writeFile(file, 'something else')),
      ResourceGoneError,
    ],
    ['cut', (file: string) => truncate(file, 3), StreamTruncatedError],
  ] as const)('%s while it is away is told so, after what came before', async (_, change, type) => {
    const { network, url, file, directUrl } = await startNetwork({ graceMs: 0 });
    const writable = await startAppend(directUrl);
    const readable = startFollow(url);
    writable.write('hello');
    readable.read(0);
    await waitFor(() => readable.readableLength === 5, 'the bytes');
    network.refuse(true);
    network.resetAll();
    await writable.close();
    await change(file);
    network.refuse(false);
    expect(await read(readable, 5)).toBe('hello');
    expect(await readingError(readable)).toBeInstanceOf(type);
  });

  test('lengthened by another program while it is away gets that, too', async () => {
    const { network, url, file, directUrl } = await startNetwork();
    const writable = await startAppend(directUrl);
    const readable = startFollow(url);
    writable.write('hello');
    expect(await read(readable, 5)).toBe('hello');
    network.refuse(true);
    network.resetAll();
    await writable.close();
    await appendFile(file, ' world');
    network.refuse(false);
    expect(String(await buffer(readable))).toBe(' world');
  });
});
