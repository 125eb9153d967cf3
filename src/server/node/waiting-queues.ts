import type { RequestQueue } from './request-queue.ts';

/** What waits on all connections of a server together. */
const MAX_BYTES = 40 * 1024 * 1024;

/** One for each server. */
const ofServer = new WeakMap<object, WaitingQueues>();

/** Bounds how much waits on all connections together. */
export class WaitingQueues {
  /** Those in which something waits; first the one that has not got on for the longest time. */
  readonly #queues = new Set<RequestQueue>();
  #bytes = 0;

  /** Those of `server`, from the first call on. */
  static of(server: object): WaitingQueues {
    let queues = ofServer.get(server);
    if (queues === undefined) {
      queues = new WaitingQueues();
      ofServer.set(server, queues);
    }
    return queues;
  }

  /** Tells that so much more waits in a queue. Those are cut, when it is too much, that do not get on. */
  added(queue: RequestQueue, bytes: number): void {
    this.#bytes += bytes;
    this.#queues.add(queue);
    for (const longest of this.#queues) {
      if (this.#bytes <= MAX_BYTES) return;
      longest.cut();
    }
  }

  /** Tells that so much less waits in it: it gets on. */
  removed(queue: RequestQueue, bytes: number): void {
    this.#bytes -= bytes;
    this.#queues.delete(queue);
    if (queue.bytes > 0) this.#queues.add(queue);
  }
}
