import { isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { closeWebSocket } from './close-websocket.ts';
import { FramingError } from './errors.ts';
import { FrameDecoder, type FrameHandler } from './frame-decoder.ts';
import { Opcode } from './opcode.ts';
import { CloseCode } from './protocol.ts';

/**
 * After so many frames in one read the connection is not read until the next
 * turn of the event loop. Node would read two megabytes in a row.
 */
const MAX_FRAMES_A_TURN = 1000;

/** Who talks with the peer. */
export interface TapHandler {
  /** Whether the peer must mask its frames (a client) or must not (a server). */
  readonly masked: boolean;
  /** Longest message, in payload bytes. */
  readonly maxMessageBytes: number;
  /**
   * Gets the payload of every data message as it arrives.
   *
   * @param isMerged whether it is that of several short messages
   */
  onPayload(bytes: Buffer, isMerged: boolean): void;
  /** Gets text messages, whole, where they are not bytes; it may refuse one by throwing a {@link FramingError}. */
  readonly onText?: ((text: string) => void) | undefined;
  /** Whether pings are answered, by `ws`. Default true. */
  readonly answersPings?: boolean;
  /** Called when the connection takes more again. */
  onDrain?(): void;
  /** Called with the error when the peer breaks the rules; the close frame is already sent. */
  onFramingError(error: FramingError): void;
  /** Gets the code and reason of the peer's close frame, which is answered when this resolves. */
  beforeClose(code: number, reason: string): Promise<void> | void;
}

const TAP = Symbol('tap');

/** Its listeners find the tap here: closures in their place would be there as long as the connection. */
type TappedSocket = Socket & { [TAP]?: PayloadTap };

/**
 * Takes the payload out of a WebSocket's connection before `ws` sees it.
 *
 * `ws` hands out whole messages, so it has to hold each one, and a message may
 * be as long as the stream. The tap puts itself between the socket and `ws`:
 * payload goes to `onPayload` as it arrives, control frames go on to `ws`, which
 * stays in charge of pings, the close handshake and its time limits. Pause and
 * resume the flow with `websocket.pause()` and `websocket.resume()`.
 *
 * Attach it in the turn of the event loop in which the WebSocket opened.
 */
export class PayloadTap implements FrameHandler {
  readonly onText: ((text: string) => void) | undefined;
  readonly #websocket: WebSocket;
  readonly #socket: Socket;
  readonly #handler: TapHandler;
  readonly #decoder: FrameDecoder;
  /** How `ws` reads. */
  readonly #forward: (this: Socket, bytes: Buffer) => void;
  #done = false;
  /** The last ping that is not answered: one answer is enough for all before it (RFC 6455, section 5.5.3). */
  #ping: Buffer | undefined;

  constructor(websocket: WebSocket, socket: Socket, handler: TapHandler) {
    const listeners = socket.listeners('data');
    if (listeners.length !== 1) throw new Error('ws is expected to read its socket with one listener');
    const [wsListener] = listeners as [(bytes: Buffer) => void];
    const { onText } = handler;
    this.onText =
      onText &&
      ((text) => {
        if (!this.#done) onText(text);
      });
    this.#forward = wsListener;
    this.#websocket = websocket;
    this.#socket = socket;
    this.#handler = handler;
    this.#decoder = new FrameDecoder(this);
    (socket as TappedSocket)[TAP] = this;
    socket.off('data', wsListener);
    socket.on('data', read);
    socket.on('drain', drained);
  }

  get masked(): boolean {
    return this.#handler.masked;
  }

  get maxMessageBytes(): number {
    return this.#handler.maxMessageBytes;
  }

  /** Whether the peer is between two messages, so that an end here tears none. */
  get betweenMessages(): boolean {
    return this.#decoder.betweenMessages;
  }

  onPayload(bytes: Buffer, isMerged: boolean): void {
    if (!this.#done) this.#handler.onPayload(bytes, isMerged);
  }

  onControl(opcode: number, payload: Buffer, frame: Buffer): void {
    if (this.#done) return;
    if (opcode === Opcode.close) void this.#takeClose(closeOf(payload), frame);
    else if (opcode !== Opcode.ping) this.#pass(frame);
    else if (this.#handler.answersPings ?? true) this.#ping = frame;
  }

  /** Takes the next bytes of the connection. */
  read(bytes: Buffer): void {
    if (this.#done) return;
    const before = this.#decoder.frameCount;
    this.#decode(bytes);
    this.#answerPing();
    if (this.#decoder.frameCount - before > MAX_FRAMES_A_TURN) this.#rest();
  }

  /** Lets others have their turn. */
  #rest(): void {
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
      closeWebSocket(this.#websocket, error.closeCode, error.message);
      this.#handler.onFramingError(error);
    }
  }

  /** Is told that the connection takes more again. */
  drained(): void {
    this.#answerPing();
    this.#handler.onDrain?.();
  }

  /** Gives a frame to `ws`. What comes after the end concerns nobody: it has let go of the socket. */
  #pass(frame: Buffer): void {
    const websocket = this.#websocket;
    const isOver = websocket.readyState === websocket.CLOSED || this.#socket.destroyed;
    if (!isOver) this.#forward.call(this.#socket, frame);
  }

  /** Not while the peer does not take what it is sent: answers that nobody reads would pile up. */
  #answerPing(): void {
    if (this.#ping === undefined || this.#done || this.#socket.writableNeedDrain) return;
    const ping = this.#ping;
    this.#ping = undefined;
    this.#pass(ping);
  }

  async #takeClose({ code, reason }: Close, frame: Buffer): Promise<void> {
    this.#done = true;
    await this.#handler.beforeClose(code, reason);
    this.#pass(frame);
  }
}

function read(this: TappedSocket, bytes: Buffer): void {
  this[TAP]?.read(bytes);
}

function drained(this: TappedSocket): void {
  this[TAP]?.drained();
}

/** What a close frame says. */
interface Close {
  code: number;
  reason: string;
}

/**
 * Reads the payload of a close frame (RFC 6455, sections 5.5.1 and 7.4).
 *
 * @throws {FramingError} when it is malformed
 */
function closeOf(payload: Buffer): Close {
  if (payload.length === 0) return { code: CloseCode.none, reason: '' };
  if (payload.length === 1) {
    throw new FramingError('a close frame has half a code', CloseCode.protocolError);
  }
  const code = payload.readUInt16BE(0);
  if (!mayBeSent(code)) throw new FramingError(`invalid close code ${code}`, CloseCode.protocolError);
  const reason = payload.subarray(2);
  if (!isUtf8(reason)) {
    throw new FramingError('the reason of a close frame is not UTF-8', CloseCode.invalidPayload);
  }
  return { code, reason: reason.toString() };
}

/** As `ws` has it, which would refuse any other one: those that are registered, and those for applications. */
function mayBeSent(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return (
    code >= 1000 && code <= 1014 && code !== 1004 && code !== CloseCode.none && code !== CloseCode.abnormal
  );
}
