import { type FollowOpening, type FollowStream, follow } from '../client/index.ts';
import { ConnectionError } from '../wire/errors.ts';
import type { Outcome } from '../wire/protocol.ts';
import { type Fetching, TOO_LONG } from './fetching.ts';
import type { Copied } from './local-copy.ts';
import { outcomeOf } from './upstream-end.ts';

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
): Promise<void> {
  const { upstream, path, headers, signal } = fetching;
  const stream = follow(upstream.urlOf(path), {
    headers,
    signal,
    onReconnected: () => fetching.resumed(),
    ...(here === undefined ? { wait: waitMs / 1000 } : { from: here.size, generation: here.generation }),
  });
  try {
    await new FollowedFile(fetching, stream).run(here);
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

  async run(here: Copied | undefined): Promise<void> {
    const fetching = this.#fetching;
    const stream = this.#stream;
    const ended = outcomeOf(stream);
    // What fails before it is waited for is told by the opening.
    ended.catch(ignore);
    const { generation, live, size, contentType } = await this.#opening();
    if (generation === undefined) {
      fetching.upstream.kind = 'foreign';
      fetching.passOn('of a server that is none of ours');
      return;
    }
    fetching.found(size, live === false);
    if (!fetching.mayKeep(size)) {
      if (here !== undefined) await fetching.copy.drop();
      fetching.passOn(TOO_LONG, true);
      return;
    }
    const isNews = here === undefined || live === true || size !== here.size;
    if (!isNews) {
      stream.resume();
      if (isKnown(await ended, here)) return;
    }
    const source = { resume: () => stream.resume(), stop: (error?: Error) => stream.destroy(error) };
    const { feed } = await fetching.append(here, { generation, contentType }, source);
    stream.on('waiting', () => feed.setWaiting(true)).on('live', () => feed.setWaiting(false));
    stream.on('data', (bytes) => {
      if (!fetching.take(bytes)) stream.pause();
    });
    const outcome = await ended.catch((error) => {
      fetching.signal.throwIfAborted();
      if (fetching.isTooLong) return undefined;
      throw fetching.loss ?? fetching.broken(error);
    });
    await (outcome === undefined ? fetching.giveUp() : fetching.end(outcome));
  }

  async #opening(): Promise<FollowOpening> {
    const fetching = this.#fetching;
    const stream = this.#stream;
    const { headTimeoutMs } = fetching.options;
    const timer = setTimeout(() => stream.destroy(fetching.timedOut()), headTimeoutMs);
    const miss = () => {
      clearTimeout(timer);
      fetching.miss();
    };
    stream.on('waiting', miss);
    try {
      return await new Promise<FollowOpening>((resolve, reject) => {
        stream.once('open', resolve).once('error', reject).once('close', reject);
      });
    } catch (error) {
      throw error instanceof ConnectionError ? fetching.unreachable(error) : error;
    } finally {
      clearTimeout(timer);
      // From now on it is the appender that is waited for.
      stream.off('waiting', miss);
    }
  }
}

function isKnown({ reason, status, closed }: Outcome, { outcome, isClosed }: Copied): boolean {
  return outcome?.reason === reason && outcome.status === status && (closed === true) === isClosed;
}

function ignore(): void {}
