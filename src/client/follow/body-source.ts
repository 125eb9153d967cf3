import type { IncomingMessage } from 'node:http';
import { StreamInterruptedError } from '../../wire/errors.ts';
import { CloseCode, TCP_KEEP_ALIVE_MS } from '../../wire/protocol.ts';
import { bodyEndOf } from './body-end.ts';

/** What a {@link BodySource} tells. */
export interface BodyHandlers {
  onBytes: (bytes: Buffer) => void;
  /**
   * The last call: all of it has come, as far as the server can tell.
   *
   * @param isPresumed whether it is taken for that because the connection was closed
   */
  onEnd: (isPresumed: boolean) => void;
  /** The last call: it broke off. */
  onBroken: (error: StreamInterruptedError) => void;
}

/** The file as a legacy server answers a handshake with it. */
export class BodySource {
  readonly #response: IncomingMessage;

  constructor(response: IncomingMessage, { onBytes, onEnd, onBroken }: BodyHandlers) {
    this.#response = response;
    // The time limit of the handshake; whoever reads may take as long as it likes.
    response.socket.setTimeout(0);
    // Nothing is sent there, so that nobody would notice that its machine is gone.
    response.socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    const broken = (message: string, cause?: Error) =>
      onBroken(new StreamInterruptedError(message, CloseCode.abnormal, { cause }));
    response.on('data', onBytes);
    response.once('end', () => {
      const end = bodyEndOf(response);
      if (end === 'unknown') broken('the connection was closed, and nothing says that this was the end');
      else onEnd(end === 'presumed');
    });
    response.once('error', (cause) => broken('the connection broke', cause));
  }

  pause(): void {
    this.#response.pause();
  }

  resume(): void {
    this.#response.resume();
  }

  destroy(): void {
    this.#response.destroy();
  }
}
