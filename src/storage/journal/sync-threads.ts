import { Worker } from 'node:worker_threads';

/** What a thread does. As text, so that it runs from wherever the package was bundled to. */
const THREAD = `
  const { fdatasyncSync } = require('node:fs');
  const { parentPort } = require('node:worker_threads');
  const sync = (fd) => {
    try {
      fdatasyncSync(fd);
      return undefined;
    } catch (error) {
      return error;
    }
  };
  parentPort.on('message', (fds) => parentPort.postMessage(fds.map(sync)));
`;

interface Job {
  fd: number;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * Threads that do nothing but fdatasync. Node has four threads for files, and
 * syncs would keep them from reading and writing; besides, a file system takes
 * the syncs that are under way together to the disk, and more of them fit here.
 */
export class SyncThreads {
  readonly #count: number;
  #threads = 0;
  readonly #idle: Worker[] = [];
  #waiting: Job[] = [];
  #isDue = false;

  /** @param count how many threads there may be; each is made when it is needed */
  constructor(count: number) {
    this.#count = count;
  }

  /** Makes what was written to an open file survive a loss of power. */
  fdatasync(fd: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ fd, resolve, reject });
      if (this.#isDue) return;
      this.#isDue = true;
      // What comes in the same turn of the event loop is shared out together.
      setImmediate(() => {
        this.#isDue = false;
        this.#shareOut();
      });
    });
  }

  /** Ends the threads; nothing may be under way. */
  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((thread) => thread.terminate()));
  }

  #shareOut(): void {
    while (this.#waiting.length > 0) {
      const thread = this.#idle.pop() ?? this.#makeThread();
      if (thread === undefined) return;
      const share = Math.max(1, Math.floor(this.#waiting.length / this.#count));
      this.#run(thread, this.#waiting.splice(0, share));
    }
  }

  #makeThread(): Worker | undefined {
    if (this.#threads === this.#count) return undefined;
    this.#threads++;
    return new Worker(THREAD, { eval: true });
  }

  #run(thread: Worker, jobs: readonly Job[]): void {
    // Only a thread with something to do keeps the process alive.
    thread.ref();
    const fail = (error: Error) => {
      this.#threads--;
      for (const { reject } of jobs) reject(error);
      this.#shareOut();
    };
    thread.once('error', fail);
    thread.once('message', (errors: readonly unknown[]) => {
      thread.off('error', fail);
      thread.unref();
      this.#idle.push(thread);
      for (const [i, { resolve, reject }] of jobs.entries()) {
        if (errors[i] === undefined) resolve();
        else reject(errors[i]);
      }
      this.#shareOut();
    });
    thread.postMessage(jobs.map(({ fd }) => fd));
  }
}
