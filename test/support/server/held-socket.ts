import net from 'node:net';
import { onTestFinished } from 'vitest';

interface Handle {
  fd: number;
  getsockname(out: { port?: number }): number;
  close(): void;
}

/**
 * A socket at a free port that is open until the test is over, whoever listens at it meanwhile. This process does not:
 * so what comes while nobody accepts waits.
 */
export class HeldSocket {
  readonly #handle: Handle;

  constructor() {
    // Node has no other way to have a socket at which it does not listen itself.
    const { _createServerHandle: bind } = net as unknown as {
      _createServerHandle(address: string, port: number, type: 4): Handle | number;
    };
    const handle = bind('127.0.0.1', 0, 4);
    if (typeof handle === 'number') throw new Error(`no socket: error ${handle}`);
    this.#handle = handle;
    onTestFinished(() => handle.close());
  }

  get fd(): number {
    return this.#handle.fd;
  }

  get port(): number {
    const name: { port?: number } = {};
    this.#handle.getsockname(name);
    return name.port as number;
  }
}
