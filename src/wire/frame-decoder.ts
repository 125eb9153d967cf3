import { FramingError } from './errors.ts';
import { Opcode } from './opcode.ts';
import { CloseCode, MAX_CONTROL_BYTES, MERGED_BYTES } from './protocol.ts';
import { unmaskDown, unmaskInPlace } from './unmask.ts';

export interface FrameDecoderOptions {
  /** Whether the peer must mask its frames, as clients do, or must not. */
  masked: boolean;
  /** Longest message, in payload bytes of all its fragments. */
  maxMessageBytes: number;
  /** Called with the payload of messages as it arrives: views into the decoded chunk. */
  onPayload: (bytes: Buffer) => void;
  /** Called with text messages, as a whole. Without it they are payload, as binary ones are. */
  onText?: ((text: string) => void) | undefined;
  /** Called with each control frame: its opcode, its unmasked payload, and the frame as it arrived. */
  onControl: (opcode: number, payload: Buffer, frame: Buffer) => void;
}

/** Payloads of at least this length are passed on as they are, not moved to be merged with others. */
const LONG_PAYLOAD_BYTES = 1024;

const NO_BYTES = Buffer.alloc(0);

/**
 * Decodes a stream of WebSocket frames without buffering messages: payload is passed
 * on as it arrives, whatever the length of the message and wherever the connection
 * cuts it. Messages are just bytes: text is not checked to be UTF-8, and message
 * boundaries are not reported. Only with `onText` are text messages buffered, and
 * kept apart from the bytes.
 */
export class FrameDecoder {
  readonly #masked: boolean;
  readonly #maxMessageBytes: number;
  readonly #onPayload: FrameDecoderOptions['onPayload'];
  readonly #onText: FrameDecoderOptions['onText'];
  readonly #onControl: FrameDecoderOptions['onControl'];
  /** The beginning of a header or control frame at the end of the last chunk. */
  #carry = NO_BYTES;
  /** Payload bytes of the current data frame that are still to come. */
  #frameRemaining = 0;
  /** Payload bytes of the current message so far, with the current frame's. */
  #messageBytes = 0;
  /** A frame without FIN has arrived, and its continuation has not. */
  #fragmented = false;
  /** The parts of the current text message so far; undefined outside of one, and without `onText`. */
  #text: Buffer[] | undefined;
  #frameCount = 0;
  readonly #mask = new Uint8Array(4);
  #maskPhase = 0;

  constructor(options: FrameDecoderOptions) {
    this.#masked = options.masked;
    this.#maxMessageBytes = options.maxMessageBytes;
    this.#onPayload = options.onPayload;
    this.#onText = options.onText;
    this.#onControl = options.onControl;
  }

  /** Whether the connection is between two messages, so that ending here cuts none. */
  get betweenMessages(): boolean {
    return this.#frameRemaining === 0 && !this.#fragmented && this.#carry.length === 0;
  }

  /** How many frames have begun. */
  get frameCount(): number {
    return this.#frameCount;
  }

  /**
   * Decodes the next bytes of the connection. The caller must not use `input` any
   * more: it is modified in place, and parts of it are passed on.
   *
   * @throws {FramingError} when the peer violates the rules; decode nothing after that
   */
  decode(input: Buffer): void {
    const chunk = this.#carry.length === 0 ? input : Buffer.concat([this.#carry, input]);
    this.#carry = NO_BYTES;

    // Short payloads are moved down over their headers, so that several small messages
    // are passed on as one run: chunk[runStart, runEnd).
    let runStart = 0;
    let runEnd = 0;
    let at = 0;
    try {
      while (at < chunk.length) {
        if (this.#frameRemaining > 0) {
          const end = Math.min(at + this.#frameRemaining, chunk.length);
          if (this.#text !== undefined) {
            const part = Buffer.from(chunk.subarray(at, end));
            if (this.#masked) unmaskInPlace(part, this.#mask, this.#maskPhase);
            this.#text.push(part);
          } else if (end - at < LONG_PAYLOAD_BYTES) {
            if (runEnd - runStart + end - at > MERGED_BYTES && runEnd > runStart) {
              this.#onPayload(chunk.subarray(runStart, runEnd));
              runStart = runEnd;
            }
            if (this.#masked) unmaskDown(chunk, at, end, runEnd, this.#mask, this.#maskPhase);
            else chunk.copyWithin(runEnd, at, end);
            runEnd += end - at;
          } else {
            if (runEnd > runStart) this.#onPayload(chunk.subarray(runStart, runEnd));
            const payload = chunk.subarray(at, end);
            if (this.#masked) unmaskInPlace(payload, this.#mask, this.#maskPhase);
            this.#onPayload(payload);
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
          if (runEnd > runStart) this.#onPayload(chunk.subarray(runStart, runEnd));
          this.#takeControl(Buffer.from(chunk.subarray(at, at + unitBytes)), headerBytes);
          runStart = runEnd = at + unitBytes;
        } else {
          this.#beginFrame(chunk, at, headerBytes);
          if (this.#text !== undefined && runEnd > runStart) {
            this.#onPayload(chunk.subarray(runStart, runEnd));
            runStart = runEnd;
          }
          this.#endText();
        }
        at += unitBytes;
      }
    } finally {
      // Also what came before a violation.
      if (runEnd > runStart) this.#onPayload(chunk.subarray(runStart, runEnd));
    }
  }

  /** Length of the header at `at`, 0 if its second byte has not arrived. Checks the two bytes. */
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
    if (opcode === Opcode.text && this.#onText !== undefined) this.#text = [];
    this.#messageBytes += length;
    const limit = this.#text === undefined ? this.#maxMessageBytes : MAX_CONTROL_BYTES;
    if (this.#messageBytes > limit) {
      throw new FramingError(`a message is longer than ${limit} bytes`, CloseCode.messageTooBig);
    }
    this.#fragmented = first < 0x80;
    this.#frameRemaining = length;
    if (this.#masked) this.#readMask(chunk, at + headerBytes - 4);
  }

  /** Passes on a text message if it is complete. */
  #endText(): void {
    if (this.#text === undefined || this.#frameRemaining > 0 || this.#fragmented) return;
    const text = Buffer.concat(this.#text).toString();
    this.#text = undefined;
    this.#onText?.(text);
  }

  #takeControl(frame: Buffer, headerBytes: number): void {
    const payload = Buffer.from(frame.subarray(headerBytes));
    if (this.#masked) {
      this.#readMask(frame, headerBytes - 4);
      unmaskDown(payload, 0, payload.length, 0, this.#mask, 0);
    }
    this.#onControl(frame[0]! & 0x0f, payload, frame);
  }

  #readMask(chunk: Buffer, at: number): void {
    for (let i = 0; i < 4; i++) this.#mask[i] = chunk[at + i]!;
    this.#maskPhase = 0;
  }
}

function protocolError(message: string): FramingError {
  return new FramingError(message, CloseCode.protocolError);
}
