import type { Writable } from 'node:stream';

/** Bytes of the log that may wait for whoever reads it. */
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * Where the lines of a log go. When nobody takes them, no more than a bound
 * wait: the others are dropped and counted, and the server goes on. It goes on,
 * too, when the output fails, like a terminal that was closed: what cannot be written is lost.
 */
export class LogOutput {
  readonly #output: Writable;
  readonly #onDropped: (count: number) => void;
  #droppedCount = 0;

  /** @param onDropped called with the number of lines that were dropped, when lines are taken again */
  constructor(output: Writable, onDropped: (count: number) => void) {
    this.#output = output;
    this.#onDropped = onDropped;
    output.on('drain', () => this.#drained()).on('error', ignore);
  }

  /** Takes a line, with its line end. */
  write(line: string): void {
    // Once one is dropped all are, until those that wait are taken: a gap is in one place.
    if (this.#droppedCount > 0 || this.#output.writableLength + line.length > MAX_WAITING_BYTES) {
      this.#droppedCount++;
    } else this.#output.write(line);
  }

  #drained(): void {
    const count = this.#droppedCount;
    this.#droppedCount = 0;
    if (count > 0) this.#onDropped(count);
  }
}

function ignore(): void {}
