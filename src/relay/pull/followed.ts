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
import type { Copied } from '../copies/local-copy.ts';
import { outcomeOf } from '../upstream/upstream-end.ts';
import type { Fetching } from './fetching.ts';
import { refused, stored, TOO_LONG, UNKNOWN, unstored, type Verdict } from './verdict.ts';

/**
 * So many of the last bytes here are held against those there, in bytes: a file that another program has cut and
 * written on is the same one to the server there, if nobody has followed it meanwhile.
 */
const OVERLAP_BYTES = 1024;

/**
 * Follows a file on a server of ours, from where the copy here ends, and has that end as the file there has ended.
 *
 * @param waitMs how long it is waited for, if there is none
 * @throws {ResourceGoneError} when what is here is not the beginning of what is there
 * @throws why it cannot be followed, or was lost
 */
export async function followFile(
  fetching: Fetching,
  here: Copied | undefined,
  waitMs: number,
): Promise<Verdict> {
  const { url, headers, signal, path, options, copy } = fetching;
  const holdMs = options.held.holdMs(path);
  fetching.isHeld = holdMs > 0;
  // Else the server there knows how far that was, and would take who asks from before it for somebody else.
  const isUnknown = holdMs === 0 || !options.held.track(path);
  const tail = here && isUnknown ? await copy.tail(here.size, OVERLAP_BYTES) : undefined;
  const stream = follow(url, {
    headers,
    signal,
    ...(holdMs > 0 && { hold: Math.ceil(holdMs / 1000) }),
    onReconnect: () => fetching.connected(false),
    onReconnected: ({ size, live }) => fetching.reconnected(size, live === false),
    ...(here === undefined
      ? { wait: waitMs / 1000 }
      : { from: here.size - (tail?.length ?? 0), generation: here.generation }),
  });
  try {
    return await new FollowedFile(fetching, stream).run(here, tail);
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
export async function holdFile(fetching: Fetching): Promise<boolean> {
  const { url, headers, path, options, part } = fetching;
  const stream = follow(url, {
    headers,
    from: part.committed,
    hold: Math.ceil(options.held.holdMs(path) / 1000),
    retry: false,
    ...(part.generation !== undefined && { generation: part.generation }),
  });
  try {
    await once(stream, 'open', { signal: AbortSignal.timeout(options.headTimeoutMs) });
    fetching.isHeld = true;
  } catch {
    // It is gone by now, or cannot be reached.
  } finally {
    stream.destroy();
  }
  return fetching.isHeld;
}

class FollowedFile {
  readonly #fetching: Fetching;
  readonly #stream: FollowStream;

  constructor(fetching: Fetching, stream: FollowStream) {
    this.#fetching = fetching;
    this.#stream = stream;
  }

  /** @param tail the last bytes that are here, which come first */
  async run(here: Copied | undefined, tail: Buffer | undefined): Promise<Verdict> {
    const fetching = this.#fetching;
    const stream = this.#stream;
    const ended = outcomeOf(stream);
    // What fails before it is waited for is told by the opening.
    ended.catch(ignore);
    const { generation, live, size, part, contentType, stream: isStream } = await this.#opening();
    if (generation === undefined) {
      // What is in front of it has answered, and does not know what is there.
      const error = fetching.upstream.notItself();
      if (here !== undefined) throw error;
      return refused('the server does not say what is there');
    }
    fetching.found(size, live === false);
    if (!fetching.mayKeep(size)) {
      if (here !== undefined) await fetching.copy.drop();
      return unstored(TOO_LONG);
    }
    if (here !== undefined && size !== undefined && size < here.size) throw isOther();
    if (tail !== undefined) await this.#assertSame(tail);
    const isNews = here === undefined || live === true || size !== here.size;
    if (isNews && fetching.looksOnly) return UNKNOWN;
    if (!isNews) {
      stream.resume();
      const outcome = await ended;
      if (isKnown(outcome, here) && outcome.moved !== true) return stored('fwd=stale; fwd-status=304');
    }
    const source = {
      resume: () => stream.resume(),
      stop: (error?: Error) => stream.destroy(error),
      // Who follows comes back, and goes on where it was.
      tooLong: () => stream.destroy(),
    };
    const made = { generation, contentType: isStream ? contentType : undefined, isPart: part === true };
    const lease = await fetching.append(here, made, source, isStream ? undefined : contentType);
    stream.on('type', (type) => lease.giveType(type));
    // It may have been told while that began.
    if (!isStream && stream.contentType !== undefined) lease.giveType(stream.contentType);
    stream.on('data', (bytes) => {
      if (!fetching.take(bytes)) stream.pause();
    });
    const outcome = await ended.catch((error) => {
      fetching.signal.throwIfAborted();
      throw fetching.broken(error);
    });
    await fetching.end(outcome);
    return fetching.progress.verdict ?? storedFrom(here);
  }

  /** @throws {ResourceGoneError} when other bytes come first than these */
  async #assertSame(tail: Buffer): Promise<void> {
    const fetching = this.#fetching;
    const stream = this.#stream;
    const timer = this.#breakLater();
    try {
      if (await beginsWith(stream, tail)) return;
    } catch (error) {
      throw fetching.broken(error);
    } finally {
      clearTimeout(timer);
    }
    throw isOther();
  }

  /** Breaks it when the server there takes too long. */
  #breakLater(): NodeJS.Timeout {
    const { upstream, options } = this.#fetching;
    return setTimeout(() => {
      upstream.reachability.failed();
      this.#stream.destroy(upstream.timedOut());
    }, options.headTimeoutMs);
  }

  async #opening(): Promise<FollowOpening> {
    const fetching = this.#fetching;
    const stream = this.#stream;
    const { upstream } = fetching;
    const timer = this.#breakLater();
    const miss = () => {
      clearTimeout(timer);
      upstream.reachability.answered();
      fetching.miss();
    };
    stream.on('waiting', miss);
    try {
      const opening = await new Promise<FollowOpening>((resolve, reject) => {
        // What comes with the opening is of the appender.
        stream.once('open', () => {
          stream.off('waiting', miss);
          stream.on('waiting', () => fetching.waiting(true)).on('live', () => fetching.waiting(false));
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
      if (error instanceof ProtocolError) throw fetching.broken(error);
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

function isOther(): ResourceGoneError {
  return new ResourceGoneError('what is here is not the beginning of what is there');
}

function storedFrom(here: Copied | undefined): Verdict {
  return stored(
    here === undefined ? 'fwd=uri-miss; fwd-status=200; stored' : 'fwd=partial; fwd-status=206; stored',
  );
}

function isKnown({ reason, status, closed }: Outcome, { outcome, isClosed }: Copied): boolean {
  return outcome?.reason === reason && outcome.status === status && (closed === true) === isClosed;
}

function ignore(): void {}
