import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FollowReadable, type PausableSource } from '../../../src/client/follow/follow-readable.ts';

/** Gives access to what a subclass may do. */
class OpenReadable extends FollowReadable {
  get count(): number {
    return this.readBytes;
  }

  from(source: PausableSource): void {
    this.readFrom(source);
  }

  add(bytes: Buffer): void {
    this.receive(bytes);
  }

  close(): void {
    this.finish();
  }

  fail(error: Error): void {
    this.failLate(error);
  }
}

const BYTES = Buffer.from('äö👋x'.repeat(50));

/** Has the bytes, in pieces that cut characters. */
function filled(encoding: BufferEncoding | undefined): OpenReadable {
  const readable = new OpenReadable();
  if (encoding !== undefined) readable.setEncoding(encoding);
  for (let at = 0; at < BYTES.length; at += 5) readable.push(BYTES.subarray(at, at + 5));
  readable.push(null);
  return readable;
}

describe.each([undefined, 'utf8', 'utf16le', 'latin1', 'hex', 'base64'] as const)(
  'read as %s',
  (encoding) => {
    test('what was read is as much as its data events tell', async () => {
      const readable = filled(encoding);
      let bytes = 0;
      readable.on('data', (chunk) => {
        bytes += Buffer.byteLength(chunk, encoding);
        expect(readable.count).toBe(bytes);
      });
      await once(readable, 'end');
      expect(readable.count).toBe(BYTES.length);
    });

    test('what was read is as much as was read, little by little', () => {
      const readable = filled(encoding);
      readable.read(0);
      expect(readable.count).toBe(0);
      let bytes = 0;
      for (let chunk = readable.read(8); chunk !== null; chunk = readable.read(8)) {
        bytes += Buffer.byteLength(chunk, encoding);
        expect(readable.count).toBe(bytes);
      }
      expect(bytes).toBeGreaterThan(BYTES.length - 16);
    });

    test('all of it was read when it was iterated over', async () => {
      const readable = filled(encoding);
      for await (const _ of readable) expect(readable.count).toBeGreaterThan(0);
      expect(readable.count).toBe(BYTES.length);
    });

    test('what is put back has not been read', () => {
      const readable = filled(encoding);
      const first = readable.read(8);
      const before = readable.count;
      readable.unshift(first as Buffer, encoding);
      expect(readable.count).toBe(0);
      expect(readable.read(8)).toEqual(first);
      expect(readable.count).toBe(before);
    });
  },
);

describe('small chunks', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  const SMALL = Buffer.alloc(1000, 's');
  const LARGE = Buffer.alloc(4096, 'L');

  /** Has one chunk that nobody has read, so that those that follow are late. */
  function late(): OpenReadable {
    const readable = new OpenReadable({ highWaterMark: 1024 * 1024 });
    readable.add(Buffer.from('first'));
    expect(readable.readableLength).toBe(5);
    return readable;
  }

  test('are readable at once where nothing else is', () => {
    expect(late().read()?.toString()).toBe('first');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('are joined for 10 ms where others wait to be read', () => {
    const readable = late();
    readable.add(SMALL);
    readable.add(SMALL);
    vi.advanceTimersByTime(9);
    expect(readable.readableLength).toBe(5);
    vi.advanceTimersByTime(1);
    expect(readable.readableLength).toBe(2005);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('are joined to chunks of 64 KiB', () => {
    const readable = late();
    for (let bytes = 0; bytes < 64 * 1024; bytes += SMALL.length) readable.add(SMALL);
    expect(readable.readableLength).toBe(5 + 66_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('come before a large one that follows, and before the end', async () => {
    const readable = late();
    readable.add(SMALL);
    readable.add(LARGE);
    readable.add(SMALL);
    readable.close();
    const chunks: Buffer[] = [];
    for await (const chunk of readable) chunks.push(chunk);
    expect(Buffer.concat(chunks)).toEqual(Buffer.concat([Buffer.from('first'), SMALL, LARGE, SMALL]));
  });

  test('are copied, since they may be views of something large that is used again', () => {
    const readable = late();
    const reused = Buffer.from('abc');
    readable.add(reused);
    reused.fill('x');
    vi.advanceTimersByTime(10);
    expect(readable.read(8)?.toString()).toBe('firstabc');
  });

  test('are dropped with the readable, and so is the timer', async () => {
    const readable = late();
    readable.add(SMALL);
    readable.destroy();
    await once(readable, 'close');
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('the source is paused while as much waits as may, and resumed to read', () => {
  const readable = new OpenReadable({ highWaterMark: 10 });
  const source = { pause: vi.fn(), resume: vi.fn() };
  readable.from(source);
  readable.add(Buffer.alloc(9));
  expect(source.pause).not.toHaveBeenCalled();
  readable.read();
  readable.add(Buffer.alloc(10));
  expect(source.pause).toHaveBeenCalledOnce();
  source.resume.mockClear();
  readable.read();
  readable.read(1);
  expect(source.resume).toHaveBeenCalled();
});

describe('an error', () => {
  test('comes after the bytes that came before it', async () => {
    const readable = new OpenReadable();
    readable.add(Buffer.from('abc'));
    const error = new Error('broken');
    readable.fail(error);
    expect(readable.destroyed).toBe(false);
    const failed = once(readable, 'error');
    expect(readable.read(2)?.toString()).toBe('ab');
    expect(readable.destroyed).toBe(false);
    expect(readable.read()?.toString()).toBe('c');
    expect(await failed).toEqual([error]);
  });

  test('comes at once where there are none', async () => {
    const readable = new OpenReadable();
    const failed = once(readable, 'error');
    readable.fail(new Error('broken'));
    expect(await failed).toMatchObject([{ message: 'broken' }]);
  });
});
