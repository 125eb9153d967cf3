import { once } from 'node:events';
import { type FollowOpening, type FollowStream, follow } from '../../client/index.ts';
import {
  ConnectionError,
  ProtocolError,
  ResourceGoneError,
  StreamTruncatedError,
  UnsupportedError,
  UpstreamError,
} from '../../wire/errors.ts';
import type { Outcome } from '../../wire/protocol.ts';
import type { Copied } from '../copies/copy-file.ts';
import { outcomeOf } from '../upstream/upstream-end.ts';
import type { UpstreamRequest } from '../upstream/upstream-request.ts';
import type { Copying, Fetched } from './copying.ts';
import { refused, stored, TOO_LONG, UNKNOWN, unstored, type Verdict } from './verdict.ts';

/**
 * So many of the last bytes here are held against those there, in bytes: a file that another program has cut and
 * written on is the same one to the server there, if nobody has followed it meanwhile.
 */
const OVERLAP_BYTES = 1024;

/** How a file is followed. */
export interface FollowFileOptions {
  /** How long it is waited for, if there is none, in milliseconds. */
  waitMs: number;
  /** How long after each end the server there keeps it for those who come back, in milliseconds. */
  holdMs: number;
  /** Whether the server there knows how far it was followed by one who comes back. */
  isTracked: boolean;
  /** Whether it is looked only whether what is here still holds. */
  looksOnly: boolean;
}

/**
 * Follows a file on an httpfstream server, from where the copy here ends, and has that end as the file there has ended.
 *
 * @throws {ResourceGoneError} when what is here is not the beginning of what is there
 * @throws why it cannot be followed, or was lost
 */
export async function followFile(
  copying: Copying,
  copied: Copied | undefined,
  { waitMs, holdMs, isTracked, looksOnly }: FollowFileOptions,
): Promise<Verdict> {
  const { request, copy } = copying;
  const { url, headers, signal } = request;
  // A server that knows how far that was would take who asks from before it for somebody else.
  const tail = copied && !isTracked ? await copy.tail(copied.size, OVERLAP_BYTES) : undefined;
  const stream = follow(url, {
    headers,
    signal,
    ...(holdMs > 0 && { hold: Math.ceil(holdMs / 1000) }),
    onReconnect: () => copying.connected(false),
    onReconnected: ({ size, live }) => copying.reconnected(size, live === false),
    ...(copied === undefined
      ? { wait: waitMs / 1000 }
      : { from: copied.size - (tail?.length ?? 0), generation: copied.generation }),
  });
  try {
    return await new FollowedFile(copying, stream, looksOnly).run(copied, tail);
  } finally {
    stream.destroy();
  }
}

/**
 * Has the server there keep the file that is being followed for those who come back: as long as it is live, and so
 * long after that. Never rejects.
 *
 * @returns whether it does
 */
export async function holdFile(
  { url, headers, signal, options }: UpstreamRequest,
  { committed, generation }: Fetched,
  holdMs: number,
): Promise<boolean> {
  const stream = follow(url, {
    headers,
    signal,
    from: committed,
    hold: Math.ceil(holdMs / 1000),
    retry: false,
    ...(generation !== undefined && { generation }),
  });
  try {
    await once(stream, 'open', { signal: AbortSignal.timeout(options.headTimeoutMs) });
    return true;
  } catch {
    // It is gone by now, or cannot be reached.
    return false;
  } finally {
    stream.destroy();
  }
}

class FollowedFile {
  readonly #copying: Copying;
  readonly #stream: FollowStream;
  readonly #looksOnly: boolean;

  constructor(copying: Copying, stream: FollowStream, looksOnly: boolean) {
    this.#copying = copying;
    this.#stream = stream;
    this.#looksOnly = looksOnly;
  }

  /** @param tail the last bytes that are here, which come first */
  async run(copied: Copied | undefined, tail: Buffer | undefined): Promise<Verdict> {
    const copying = this.#copying;
    const { request, progress } = copying;
    const stream = this.#stream;
    const ended = outcomeOf(stream);
    // What fails before it is waited for is told by the opening.
    ended.catch(ignore);
    const { generation, live, size, part, contentType, stream: isStream } = await this.#opening();
    if (generation === undefined) {
      // What is in front of it has answered, and does not know what is there.
      const error = request.upstream.notItself();
      if (copied !== undefined) throw error;
      return refused('the server does not say what is there');
    }
    copying.noteSize(size, live === false);
    if (!copying.mayKeep(size)) {
      if (copied !== undefined) await copying.copy.drop();
      return unstored(TOO_LONG);
    }
    if (copied !== undefined && size !== undefined && size < copied.size) throw notTheBeginning();
    if (tail !== undefined) await this.#assertSame(tail);
    const isNews = copied === undefined || live === true || size !== copied.size;
    if (isNews && this.#looksOnly) return UNKNOWN;
    if (!isNews) {
      stream.resume();
      const outcome = await ended;
      if (isKnown(outcome, copied) && outcome.moved !== true) return stored('fwd=stale; fwd-status=304');
    }
    // Nothing can be appended to it.
    if (copied?.isClosed === true) throw notTheBeginning();
    const source = {
      resume: () => stream.resume(),
      stop: (error?: Error) => stream.destroy(error),
      // Who follows comes back, and goes on where it was.
      tooLong: () => stream.destroy(),
    };
    const made = { generation, contentType: isStream ? contentType : undefined, isAtomic: part === true };
    const lease = await copying.begin(copied, made, source, isStream ? undefined : contentType);
    stream.on('type', (type) => lease.giveType(type));
    // It may have been told while that began.
    if (!isStream && stream.contentType !== undefined) lease.giveType(stream.contentType);
    stream.on('data', (bytes) => {
      if (!copying.take(bytes)) stream.pause();
    });
    const outcome = await ended.catch((error) => {
      request.signal.throwIfAborted();
      throw request.upstream.broken(error);
    });
    await copying.end(outcome);
    return progress.verdict ?? storedFrom(copied);
  }

  /** @throws {ResourceGoneError} when other bytes come first than these */
  async #assertSame(tail: Buffer): Promise<void> {
    const stream = this.#stream;
    const timer = this.#breakLater();
    try {
      if (await beginsWith(stream, tail)) return;
    } catch (error) {
      throw this.#copying.request.upstream.broken(error);
    } finally {
      clearTimeout(timer);
    }
    throw notTheBeginning();
  }

  /** Breaks it when the server there takes too long. */
  #breakLater(): NodeJS.Timeout {
    const { upstream, options } = this.#copying.request;
    return setTimeout(() => {
      upstream.reachability.failed();
      this.#stream.destroy(upstream.timedOut());
    }, options.headTimeoutMs);
  }

  async #opening(): Promise<FollowOpening> {
    const copying = this.#copying;
    const stream = this.#stream;
    const { upstream } = copying.request;
    const timer = this.#breakLater();
    const miss = () => {
      clearTimeout(timer);
      upstream.reachability.answered();
      copying.progress.become({ phase: 'waiting' });
    };
    stream.on('waiting', miss);
    try {
      const opening = await new Promise<FollowOpening>((resolve, reject) => {
        // What comes with the opening is of the appender.
        stream.once('open', () => {
          stream.off('waiting', miss);
          stream.on('waiting', () => copying.waiting(true)).on('live', () => copying.waiting(false));
        });
        stream.once('open', resolve).once('error', reject).once('close', reject);
      });
      upstream.reachability.answered();
      return opening;
    } catch (error) {
      if (error instanceof ConnectionError) {
        upstream.reachability.failed();
        throw upstream.unreachable(error);
      }
      if (error instanceof ProtocolError) throw upstream.broken(error);
      if (!(error instanceof UnsupportedError)) throw error;
      throw upstream.notItself(error);
    } finally {
      clearTimeout(timer);
      // From now on it is the appender that is waited for.
      stream.off('waiting', miss);
    }
  }
}

/**
 * Whether a stream begins with these bytes, which are read then.
 *
 * @throws what breaks it
 */
async function beginsWith(stream: FollowStream, bytes: Buffer): Promise<boolean> {
  let missing = bytes;
  while (missing.length > 0) {
    const part = stream.read(Math.min(missing.length, stream.readableLength)) as Buffer | null;
    if (part !== null) {
      if (!part.equals(missing.subarray(0, part.length))) return false;
      missing = missing.subarray(part.length);
    } else if (stream.readableEnded || stream.errored instanceof StreamTruncatedError) return false;
    else if (stream.destroyed) throw stream.errored ?? new UpstreamError('the pull was stopped');
    else await moreOf(stream);
  }
  return true;
}

/** Resolves when there is more to be read, or nothing more comes. */
async function moreOf(stream: FollowStream): Promise<void> {
  await new Promise<void>((resolve) => {
    const tell = () => {
      stream.off('readable', tell).off('end', tell).off('close', tell);
      resolve();
    };
    stream.on('readable', tell).on('end', tell).on('close', tell);
  });
}

function notTheBeginning(): ResourceGoneError {
  return new ResourceGoneError('what is here is not the beginning of what is there');
}

function storedFrom(copied: Copied | undefined): Verdict {
  return stored(
    copied === undefined ? 'fwd=uri-miss; fwd-status=200; stored' : 'fwd=partial; fwd-status=206; stored',
  );
}

/** Whether all is here, as it has ended there. */
function isKnown({ reason, status, closed }: Outcome, { outcome, isClosed }: Copied): boolean {
  // Older servers tell of a closed stream how the last append to it has ended.
  if (isClosed) return closed === true || reason === 'interrupted';
  return outcome?.reason === reason && outcome.status === status && closed !== true;
}

function ignore(): void {}
