import type { Root } from '../../storage/root/root.ts';
import { ResourceNotFoundError, ServerClosingError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { Numbers } from '../numbers.ts';
import type { Permit } from '../permit.ts';
import type { PathWatch, PathWatcher } from './path-watch.ts';

/** One for each path that is waited for. */
interface Awaited extends PathWatcher {
  /** Each is told that it is there, or why nobody waits any longer. */
  readonly waiters: Set<(failure?: ServerClosingError) => void>;
}

/**
 * Waits for files that are not there. What this server makes is notified at once; what others make, {@link PathWatch}
 * finds.
 */
export class Arrivals {
  readonly #root: Root;
  readonly #paths: PathWatch;
  readonly #numbers: Pick<Numbers, 'waitingReaders'>;
  readonly #awaited = new Map<string, Awaited>();
  #closed = false;

  /** @param numbers where it is counted who waits. Default: nowhere else */
  constructor(root: Root, paths: PathWatch, numbers: Pick<Numbers, 'waitingReaders'> = new Numbers()) {
    this.#root = root;
    this.#paths = paths;
    this.#numbers = numbers;
  }

  /**
   * Resolves when something is at the path, with true, or when the time is over, with false.
   * What the disk refuses to tell counts as there: whoever opens it is told why.
   *
   * @throws the signal's reason when it aborts
   * @throws {ServerClosingError} after {@link close}
   */
  async wait({ path }: Permit<'follow'>, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    if (this.#closed) throw new ServerClosingError('the server is shutting down');
    const awaited = this.#awaited.get(path.key) ?? this.#add(path);
    let end = () => {};
    this.#numbers.waitingReaders++;
    try {
      return await new Promise<boolean>((resolve, reject) => {
        const abort = () => reject(signal.reason);
        const timer = setTimeout(() => resolve(false), timeoutMs).unref();
        signal.addEventListener('abort', abort);
        const settle = (failure?: ServerClosingError) => (failure ? reject(failure) : resolve(true));
        awaited.waiters.add(settle);
        end = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', abort);
          awaited.waiters.delete(settle);
        };
      });
    } finally {
      this.#numbers.waitingReaders--;
      end();
      if (awaited.waiters.size === 0) this.#remove(awaited);
    }
  }

  /** Tells that a file is at the path. */
  notify(path: ResourcePath): void {
    this.#settle(this.#awaited.get(path.key));
  }

  /** Nobody waits any longer. */
  close(): void {
    this.#closed = true;
    const failure = new ServerClosingError('the server is shutting down');
    for (const awaited of this.#awaited.values()) this.#settle(awaited, failure);
  }

  #add(path: ResourcePath): Awaited {
    const awaited: Awaited = {
      path,
      isWaiting: true,
      needsAll: true,
      waiters: new Set(),
      notify: () => true,
      defersLook: () => false,
      look: () => this.#look(awaited),
    };
    this.#awaited.set(path.key, awaited);
    this.#paths.add(awaited);
    return awaited;
  }

  /** Those who come from now on wait for another one. */
  #remove(awaited: Awaited): void {
    this.#paths.delete(awaited);
    const { key } = awaited.path;
    if (this.#awaited.get(key) === awaited) this.#awaited.delete(key);
  }

  #settle(awaited: Awaited | undefined, failure?: ServerClosingError): void {
    if (awaited === undefined) return;
    this.#remove(awaited);
    for (const settle of awaited.waiters) settle(failure);
  }

  async #look(awaited: Awaited): Promise<void> {
    if (await this.#isThere(awaited.path)) this.#settle(awaited);
  }

  async #isThere(path: ResourcePath): Promise<boolean> {
    try {
      return this.#mayBeThere(path) && (await this.#root.stat(path)).kind === 'file';
    } catch (error) {
      return !(error instanceof ResourceNotFoundError);
    }
  }

  /** Mostly nothing is there, which takes one system call to know. */
  #mayBeThere(path: ResourcePath): boolean {
    try {
      return this.#root.peek(path) !== undefined;
    } catch {
      return true;
    }
  }
}
