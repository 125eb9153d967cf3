import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { FramingError } from './errors.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { Opcode } from './opcode.ts';
import { CloseCode } from './protocol.ts';

/**
 * After this many frames in one read, the connection is not read until the next
 * turn of the event loop. Node alone would read two megabytes in a row.
 */
const MAX_FRAMES_A_TURN = 1000;

export interface PayloadTapOptions {
  /** Whether the peer must mask its frames, as clients do, or must not. */
  masked: boolean;
  /** Longest message, in payload bytes. */
  maxMessageBytes: number;
  /** Called with the payload of data messages as it arrives. */
  onPayload: (bytes: Buffer) => void;
  /** Called with text messages, as a whole; may reject one by throwing a {@link FramingError}. Without it they are payload. */
  onText?: ((text: string) => void) | undefined;
  /** Whether pings are answered, by `ws`. Default true. */
  answersPings?: boolean;
  /** Called when the peer violates the rules; the close frame has been sent by then. */
  onFramingError: (error: FramingError) => void;
  /** Called with the code and reason of the peer's close frame, which is answered once this resolves. */
  beforeClose: (code: number, reason: string) => Promise<void> | void;
}

/**
 * Takes the payload out of a WebSocket's connection before `ws` sees it.
 *
 * `ws` emits whole messages, so it has to buffer each one, and a message may be
 * as long as the stream. The tap sits between the socket and `ws`: payload goes
 * to `onPayload` as it arrives, control frames go on to `ws`, which stays in
 * charge of pings, the close handshake and its time limits. Pause and resume
 * with `websocket.pause()` and `websocket.resume()`.
 *
 * Attach it in the turn of the event loop in which the WebSocket opened.
 */
export class PayloadTap {
  readonly #websocket: WebSocket;
  readonly #socket: Socket;
  readonly #options: PayloadTapOptions;
  readonly #decoder: FrameDecoder;
  readonly #forward: (bytes: Buffer) => void;
  #done = false;
  /** The last ping that is not answered: one pong answers all pings before it, too (RFC 6455, section 5.5.3). */
  #ping: Buffer | undefined;

  constructor(websocket: WebSocket, socket: Socket, options: PayloadTapOptions) {
    const listeners = socket.listeners('data');
    if (listeners.length !== 1) throw new Error('ws is expected to read its socket with one listener');
    const [wsListener] = listeners as [(bytes: Buffer) => void];
    this.#forward = (bytes) => {
      // After the end, ws has released the socket.
      if (websocket.readyState !== websocket.CLOSED && !socket.destroyed) wsListener.call(socket, bytes);
    };
    this.#websocket = websocket;
    this.#socket = socket;
    this.#options = options;
    this.#decoder = new FrameDecoder({
      masked: options.masked,
      maxMessageBytes: options.maxMessageBytes,
      onPayload: (bytes) => {
        if (!this.#done) options.onPayload(bytes);
      },
      onText:
        options.onText &&
        ((text) => {
          if (!this.#done) options.onText?.(text);
        }),
      onControl: (opcode, payload, frame) => this.#takeControl(opcode, payload, frame),
    });
    socket.off('data', wsListener);
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('drain', () => this.#answerPing());
  }

  /** Whether the connection is between two messages, so that ending here cuts none. */
  get betweenMessages(): boolean {
    return this.#decoder.betweenMessages;
  }

  #read(bytes: Buffer): void {
    if (this.#done) return;
    const before = this.#decoder.frameCount;
    this.#decode(bytes);
    this.#answerPing();
    if (this.#decoder.frameCount - before > MAX_FRAMES_A_TURN) this.#yield();
  }

  /** Lets other connections have their turn. */
  #yield(): void {
    this.#socket.pause();
    setImmediate(() => {
      if (!this.#websocket.isPaused) this.#socket.resume();
    });
  }

  #decode(bytes: Buffer): void {
    try {
      this.#decoder.decode(bytes);
    } catch (error) {
      if (!(error instanceof FramingError)) throw error;
      if (this.#done) return;
      this.#done = true;
      this.#websocket.close(error.closeCode, error.message);
      this.#options.onFramingError(error);
    }
  }

  #takeControl(opcode: number, payload: Buffer, frame: Buffer): void {
    if (this.#done) return;
    if (opcode === Opcode.close) void this.#takeClose(payload, frame);
    else if (opcode !== Opcode.ping) this.#forward(frame);
    else if (this.#options.answersPings ?? true) this.#ping = frame;
  }

  /** Not while the peer does not read: unread pongs would pile up. */
  #answerPing(): void {
    if (this.#ping === undefined || this.#done || this.#socket.writableNeedDrain) return;
    const ping = this.#ping;
    this.#ping = undefined;
    this.#forward(ping);
  }

  async #takeClose(payload: Buffer, frame: Buffer): Promise<void> {
    this.#done = true;
    const code = payload.length === 0 ? CloseCode.none : closeCodeOf(payload);
    await this.#options.beforeClose(code, payload.toString('utf8', 2));
    // ws rejects malformed close frames.
    this.#forward(frame);
  }
}

/** The code in a close frame; a protocol error if that code must not be sent (RFC 6455, section 7.4). */
function closeCodeOf(payload: Buffer): number {
  const code = payload.length === 1 ? CloseCode.none : payload.readUInt16BE(0);
  return code === CloseCode.none || code === CloseCode.abnormal ? CloseCode.protocolError : code;
}
