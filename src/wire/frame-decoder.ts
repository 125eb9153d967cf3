import { FramingError } from './errors.ts';
import { Opcode } from './opcode.ts';
import { CloseCode, MAX_CONTROL_BYTES, SHORT_MESSAGE_BYTES } from './protocol.ts';
import { unmaskDown, unmaskInPlace, wordsOf } from './unmask.ts';

/** What is to be decoded, and who gets it. Kept as it is: there are many connections. */
export interface FrameHandler {
  /** Whether the peer must mask its frames (a client) or must not (a server). */
  readonly masked: boolean;
  /** Longest message, in payload bytes over all of its fragments. */
  readonly maxMessageBytes: number;
  /**
   * Gets the payload of messages in order, as it comes: views into the decoded chunk.
   *
   * @param isMerged whether it is that of several short messages
   */
  onPayload(bytes: Buffer, isMerged: boolean): void;
  /** Gets text messages, whole. Without it they are payload as binary ones are. */
  readonly onText?: ((text: string) => void) | undefined;
  /**
   * Gets each control frame: its opcode, its payload (unmasked) and the whole frame as it came. It may refuse one by
   * throwing a {@link FramingError}.
   */
  onControl(opcode: number, payload: Buffer, frame: Buffer): void;
}

/** From this length on it is worth while to look at a chunk as words. */
const LONG_CHUNK_BYTES = 512;

const NO_BYTES = Buffer.alloc(0);

/** The mask that is undone at the moment; those of all connections are kept as numbers. */
const maskBytes = new Uint8Array(4);

/**
 * Decodes a stream of WebSocket frames without ever holding a message: payload
 * is handed on as it arrives, whatever the length of the message and wherever
 * the connection cuts it. Messages are bytes here: text is not checked to be
 * UTF-8, and where a message ends is not told. Only where text messages mean
 * something else than bytes are they gathered and told apart.
 */
export class FrameDecoder {
  readonly #handler: FrameHandler;
  readonly #masked: boolean;
  /** The beginning of a header or control frame that the last chunk cut. */
  #carry = NO_BYTES;
  /** Payload bytes of the current data frame that are still to come. */
  #frameRemaining = 0;
  /** Payload bytes of the current message so far, with the current frame's. */
  #messageBytes = 0;
  /** A frame without FIN came, and its continuation has not. */
  #fragmented = false;
  /** What has come of a text message that is told apart; undefined outside of one. */
  #text: Buffer[] | undefined;
  #frameCount = 0;
  #mask = 0;
  #maskPhase = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
    this.#masked = handler.masked;
  }

  /** Whether the peer is between two messages, so that an end here tears none. */
  get betweenMessages(): boolean {
    return this.#frameRemaining === 0 && !this.#fragmented && this.#carry.length === 0;
  }

  /** How many frames have begun. */
  get frameCount(): number {
    return this.#frameCount;
  }

  /**
   * Decodes the next bytes of the connection. The caller gives `input` away:
   * it is modified in place and parts of it are handed on.
   *
   * @throws {FramingError} when the peer breaks the rules; decode nothing more after that
   */
  decode(input: Buffer): void {
    const chunk = this.#carry.length === 0 ? input : Buffer.concat([this.#carry, input]);
    this.#carry = NO_BYTES;

    // Short payloads are moved down over their headers, so that many small messages
    // are handed on as one run: chunk[runStart, runEnd). Long ones are handed on where they lie.
    let runStart = 0;
    let runEnd = 0;
    let isMerged = false;
    const words = this.#masked && chunk.length >= LONG_CHUNK_BYTES ? wordsOf(chunk) : undefined;
    let at = 0;
    try {
      while (at < chunk.length) {
        if (this.#frameRemaining > 0) {
          const end = Math.min(at + this.#frameRemaining, chunk.length);
          if (this.#text !== undefined) {
            const part = Buffer.from(chunk.subarray(at, end));
            if (this.#masked) unmaskInPlace(part, this.#maskBytes, this.#maskPhase);
            this.#text.push(part);
          } else if (end - at < SHORT_MESSAGE_BYTES) {
            isMerged = runEnd > runStart;
            if (this.#masked) unmaskDown(chunk, at, end, runEnd, this.#maskBytes, this.#maskPhase, words);
            else chunk.copyWithin(runEnd, at, end);
            runEnd += end - at;
          } else {
            if (runEnd > runStart) this.#handler.onPayload(chunk.subarray(runStart, runEnd), isMerged);
            const payload = chunk.subarray(at, end);
            if (this.#masked) unmaskInPlace(payload, this.#maskBytes, this.#maskPhase);
            this.#handler.onPayload(payload, false);
            runStart = runEnd = end;
          }
          this.#maskPhase += end - at;
          this.#frameRemaining -= end - at;
          at = end;
          this.#endText();
          continue;
        }

        const headerBytes = this.#headerBytes(chunk, at);
        const isControl = (chunk[at]! & 0x08) !== 0;
        const unitBytes = isControl ? headerBytes + (chunk[at + 1]! & 0x7f) : headerBytes;
        if (headerBytes === 0 || at + unitBytes > chunk.length) {
          this.#carry = Buffer.from(chunk.subarray(at));
          break;
        }
        this.#frameCount++;
        if (isControl) {
          if (runEnd > runStart) this.#handler.onPayload(chunk.subarray(runStart, runEnd), isMerged);
          // Before it may be refused: the run is handed on once.
          runStart = runEnd = at + unitBytes;
          this.#takeControl(Buffer.from(chunk.subarray(at, at + unitBytes)), headerBytes);
        } else {
          this.#beginFrame(chunk, at, headerBytes);
          if (this.#text !== undefined && runEnd > runStart) {
            this.#handler.onPayload(chunk.subarray(runStart, runEnd), isMerged);
            runStart = runEnd;
          }
          this.#endText();
        }
        at += unitBytes;
      }
    } finally {
      // Also what came before a violation.
      if (runEnd > runStart) this.#handler.onPayload(chunk.subarray(runStart, runEnd), isMerged);
    }
  }

  /** Length of the header at `at`, 0 while its second byte has not come. Checks the two. */
  #headerBytes(chunk: Buffer, at: number): number {
    const first = chunk[at]!;
    const opcode = first & 0x0f;
    if ((first & 0x70) !== 0) throw protocolError('a reserved bit is set');
    if (opcode > Opcode.pong || (opcode > Opcode.binary && opcode < Opcode.close)) {
      throw protocolError(`invalid opcode ${opcode}`);
    }
    if (at + 1 >= chunk.length) return 0;

    const second = chunk[at + 1]!;
    const length = second & 0x7f;
    if (second >= 0x80 !== this.#masked) {
      throw protocolError(this.#masked ? 'a frame is not masked' : 'a frame is masked');
    }
    if (opcode >= Opcode.close) {
      if (first < 0x80) throw protocolError('a control frame is fragmented');
      if (length > 125) throw protocolError('a control frame is longer than 125 bytes');
    } else if ((opcode === Opcode.continuation) !== this.#fragmented) {
      throw protocolError(this.#fragmented ? 'a continuation is missing' : 'nothing to continue');
    }
    return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (this.#masked ? 4 : 0);
  }

  #beginFrame(chunk: Buffer, at: number, headerBytes: number): void {
    const first = chunk[at]!;
    let length = chunk[at + 1]! & 0x7f;
    if (length === 126) length = chunk.readUInt16BE(at + 2);
    else if (length === 127) length = chunk.readUInt32BE(at + 2) * 2 ** 32 + chunk.readUInt32BE(at + 6);

    const opcode = first & 0x0f;
    if (opcode !== Opcode.continuation) this.#messageBytes = 0;
    if (opcode === Opcode.text && this.#handler.onText !== undefined) this.#text = [];
    this.#messageBytes += length;
    const limit = this.#text === undefined ? this.#handler.maxMessageBytes : MAX_CONTROL_BYTES;
    if (this.#messageBytes > limit) {
      throw new FramingError(`a message is longer than ${limit} bytes`, CloseCode.messageTooBig);
    }
    this.#fragmented = first < 0x80;
    this.#frameRemaining = length;
    if (this.#masked) this.#readMask(chunk, at + headerBytes - 4);
  }

  /** Hands a text message on when the last of it has come. */
  #endText(): void {
    if (this.#text === undefined || this.#frameRemaining > 0 || this.#fragmented) return;
    const text = Buffer.concat(this.#text).toString();
    this.#text = undefined;
    this.#handler.onText?.(text);
  }

  #takeControl(frame: Buffer, headerBytes: number): void {
    const payload = Buffer.from(frame.subarray(headerBytes));
    if (this.#masked) {
      this.#readMask(frame, headerBytes - 4);
      unmaskDown(payload, 0, payload.length, 0, this.#maskBytes, 0);
    }
    this.#handler.onControl(frame[0]! & 0x0f, payload, frame);
  }

  #readMask(chunk: Buffer, at: number): void {
    this.#mask = (chunk[at]! << 24) | (chunk[at + 1]! << 16) | (chunk[at + 2]! << 8) | chunk[at + 3]!;
    this.#maskPhase = 0;
  }

  /** Good until somebody else's is asked for. */
  get #maskBytes(): Uint8Array {
    maskBytes[0] = this.#mask >>> 24;
    maskBytes[1] = this.#mask >>> 16;
    maskBytes[2] = this.#mask >>> 8;
    maskBytes[3] = this.#mask;
    return maskBytes;
  }
}

function protocolError(message: string): FramingError {
  return new FramingError(message, CloseCode.protocolError);
}
