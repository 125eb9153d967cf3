import { openWebSocket } from './connect.mjs';
import { CLOSE_FRAME, maskedFrame } from './frames.mjs';

/** Short messages are written this many bytes at a time, so that the load costs next to nothing. */
const BATCH_BYTES = 256 * 1024;

/** The one that appends, with its frames made beforehand. */
export class Appender {
  #socket;
  #opcode;
  /** Messages handed to the system so far. */
  sentMessages = 0;

  constructor(socket, opcode) {
    this.#socket = socket;
    this.#opcode = opcode;
  }

  static async open(target, name) {
    const path = target.appendTarget.replace('{name}', name);
    // nchan answers each message; what it says does not matter.
    const socket = await openWebSocket(target.port, path, () => {});
    return new Appender(socket, target.opcode);
  }

  /** Whether the connection still stands. */
  get isOpen() {
    return !this.#socket.destroyed;
  }

  /** Sends messages as fast as the server takes them; resolves when the system has the last one. */
  async sendAll(messages, messageBytes) {
    const frame = maskedFrame(this.#opcode, messageBytes);
    const framesInBatch = Math.max(1, Math.floor(BATCH_BYTES / frame.length));
    const batch = Buffer.concat(Array(framesInBatch).fill(frame));
    for (let left = messages; left > 0; ) {
      const count = Math.min(left, framesInBatch);
      await this.#write(batch.subarray(0, count * frame.length));
      left -= count;
      this.sentMessages += count;
      // Followers of this process get their turn, else their sockets would fill up.
      await new Promise(setImmediate);
    }
  }

  /** Sends one prepared frame; for a rate that the connection bears easily. */
  sendFrame(frame) {
    this.#socket.write(frame);
    this.sentMessages++;
  }

  /** Ends cleanly and lets the connection go. */
  close() {
    if (this.isOpen) this.#socket.end(CLOSE_FRAME);
  }

  #write(bytes) {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) =>
        error ? reject(new Error('the append broke', { cause: error })) : resolve(),
      );
    });
  }
}
