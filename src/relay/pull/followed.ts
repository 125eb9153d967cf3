import { type FollowOpening, type FollowStream, follow } from '../../client/index.ts';
import { ConnectionError, UpstreamError } from '../../wire/errors.ts';
import type { Outcome } from '../../wire/protocol.ts';
import type { Copied } from '../copies/local-copy.ts';
import { outcomeOf } from '../upstream/upstream-end.ts';
import { refused, stored, TOO_LONG, unstored, type Verdict } from '../verdict.ts';
import type { Fetching } from './fetching.ts';

/**
 * Follows a file on a server of ours, from where the copy here ends, and has that end as the file there has ended.
 *
 * @param waitMs how long it is waited for, if there is none
 * @throws why it cannot be followed, or was lost
 */
export async function followFile(
  fetching: Fetching,
  here: Copied | undefined,
  waitMs: number,
): Promise<Verdict> {
  const { url, headers, signal } = fetching;
  const stream = follow(url, {
    headers,
    signal,
    onReconnect: () => fetching.connected(false),
    onReconnected: () => fetching.connected(true),
    ...(here === undefined ? { wait: waitMs / 1000 } : { from: here.size, generation: here.generation }),
  });
  try {
    return await new FollowedFile(fetching, stream).run(here);
  } finally {
    stream.destroy();
  }
}

class FollowedFile {
  readonly #fetching: Fetching;
  readonly #stream: FollowStream;

  constructor(fetching: Fetching, stream: FollowStream) {
    this.#fetching = fetching;
    this.#stream = stream;
  }

  async run(here: Copied | undefined): Promise<Verdict> {
    const fetching = this.#fetching;
    const stream = this.#stream;
    const ended = outcomeOf(stream);
    // What fails before it is waited for is told by the opening.
    ended.catch(ignore);
    const { generation, live, size, part, contentType, stream: isStream } = await this.#opening();
    if (generation === undefined) {
      // What is in front of it has answered, and does not know what is there.
      if (here !== undefined) throw new UpstreamError(`${fetching.upstream.origin} has not answered itself`);
      return refused('the server does not say what is there');
    }
    fetching.found(size, live === false);
    if (!fetching.mayKeep(size)) {
      if (here !== undefined) await fetching.copy.drop();
      return unstored(TOO_LONG);
    }
    const isNews = here === undefined || live === true || size !== here.size;
    if (!isNews) {
      stream.resume();
      if (isKnown(await ended, here)) return stored('fwd=stale; fwd-status=304');
    }
    const source = {
      resume: () => stream.resume(),
      stop: (error?: Error) => stream.destroy(error),
      // Who follows comes back, and goes on where it was.
      tooLong: () => stream.destroy(),
    };
    const made = { generation, contentType: isStream ? contentType : undefined, isPart: part === true };
    const lease = await fetching.append(here, made, source, isStream ? undefined : contentType);
    const { feed } = lease;
    stream.on('type', (type) => lease.giveType(type));
    // It may have been told while that began.
    if (!isStream && stream.contentType !== undefined) lease.giveType(stream.contentType);
    stream.on('waiting', () => feed.setWaiting(true)).on('live', () => feed.setWaiting(false));
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

  async #opening(): Promise<FollowOpening> {
    const fetching = this.#fetching;
    const stream = this.#stream;
    const { headTimeoutMs } = fetching.options;
    const timer = setTimeout(() => stream.destroy(fetching.timedOut()), headTimeoutMs);
    const miss = () => {
      clearTimeout(timer);
      fetching.upstream.reachability.answered();
      fetching.miss();
    };
    stream.on('waiting', miss);
    try {
      const opening = await new Promise<FollowOpening>((resolve, reject) => {
        // What comes with the opening is of the appender.
        stream.once('open', () => stream.off('waiting', miss));
        stream.once('open', resolve).once('error', reject).once('close', reject);
      });
      fetching.upstream.reachability.answered();
      return opening;
    } catch (error) {
      throw error instanceof ConnectionError ? fetching.unreachable(error) : error;
    } finally {
      clearTimeout(timer);
      // From now on it is the appender that is waited for.
      stream.off('waiting', miss);
    }
  }
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
