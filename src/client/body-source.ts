import type { IncomingMessage } from 'node:http';
import { StreamInterruptedError } from '../errors.ts';
import { CloseCode } from '../protocol.ts';

/** What a {@link BodySource} tells. */
export interface BodyHandlers {
  onBytes: (bytes: Buffer) => void;
  /** The last call: all of it has come, as far as the server can tell. */
  onEnd: () => void;
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
    const broken = (message: string, cause?: Error) =>
      onBroken(new StreamInterruptedError(message, CloseCode.abnormal, { cause }));
    response.on('data', onBytes);
    response.once('end', () => {
      if (saysItsEnd(response)) onEnd();
      else broken('the connection was closed, and nothing says that this was the end');
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

/** Whether an end that is only the end of the connection would be known. HTTP/1.0 has no better one (RFC 1945, section 7.2.2). */
function saysItsEnd({ headers, httpVersion }: IncomingMessage): boolean {
  if (headers['content-length'] !== undefined || httpVersion === '1.0') return true;
  return /\bchunked\s*$/i.test(headers['transfer-encoding'] ?? '');
}
