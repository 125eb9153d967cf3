import net, { type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { waitFor } from '../wait-for.ts';

/** How many connections are opened at a time: more than the backlog of a listening socket would have to be retried. */
const AT_A_TIME = 200;

/** How much of what came last each one keeps. */
const KEPT_CHARACTERS = 400;

/** Many readers over raw sockets, cheap enough for this process. */
export class IdleReaders {
  readonly #sockets: Socket[] = [];
  readonly #seen: string[] = [];
  #closed = 0;

  private constructor() {}

  /** Resolves when all are connected and have asked. They are gone after the test. */
  static async connect(port: number, target: string, count: number): Promise<IdleReaders> {
    const readers = new IdleReaders();
    onTestFinished(() => readers.destroy());
    const head = `GET ${target} HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n`;
    while (readers.#sockets.length < count) {
      const batch = Math.min(AT_A_TIME, count - readers.#sockets.length);
      await Promise.all(Array.from({ length: batch }, () => readers.#open(port, head)));
    }
    return readers;
  }

  /** How many connections are gone. */
  get closed(): number {
    return this.#closed;
  }

  /** Resolves when each one has got `text` among what came last; rejects when one is gone before. */
  async waitForAll(text: string): Promise<void> {
    const isSeen = () => {
      if (this.#seen.every((seen) => seen.includes(text))) return true;
      if (this.#closed > 0) throw new Error(`${this.#closed} are gone`);
      return false;
    };
    await waitFor(isSeen, `${text} at each of ${this.#seen.length} readers`).catch((cause) => {
      const lacking = this.#seen.filter((seen) => !seen.includes(text));
      const example = JSON.stringify(lacking[0]);
      throw new Error(`${lacking.length} of ${this.#seen.length} lack ${text}; one has ${example}`, {
        cause,
      });
    });
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(port: number, head: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const index = this.#sockets.length;
      const socket = net.connect(port, '127.0.0.1');
      this.#sockets.push(socket);
      this.#seen.push('');
      socket.setEncoding('latin1');
      socket.once('error', reject);
      socket.once('close', () => this.#closed++);
      socket.on('data', (text: string) => {
        this.#seen[index] = `${this.#seen[index]}${text}`.slice(-KEPT_CHARACTERS);
      });
      socket.once('connect', () => socket.write(head, () => resolve()));
    });
  }
}
