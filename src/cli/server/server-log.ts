import fs from 'node:fs';
import type { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import type { CommandIo } from '../io/io.ts';

/** How much of the log may wait to be read. */
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * Writes the lines of a log. When nobody reads them, a limited amount waits: other lines
 * are dropped and counted, and the server keeps running. So it does when the output fails,
 * like a terminal that was closed: what cannot be written is lost.
 */
export class LogOutput {
  readonly #output: Writable;
  readonly #onDropped: (count: number) => void;
  #droppedCount = 0;
  #droppedTotal = 0;

  /** @param onDropped called with the number of lines that were dropped, once there is room again */
  constructor(output: Writable, onDropped: (count: number) => void) {
    this.#output = output;
    this.#onDropped = onDropped;
    output.on('drain', () => this.#drained()).on('error', () => {});
  }

  /** How many lines were dropped, from the beginning. */
  get droppedTotal(): number {
    return this.#droppedTotal;
  }

  /** Writes a line, which includes its line end. */
  write(line: string): void {
    // Once one is dropped, all are until those that wait are read: so there is one gap.
    if (this.#droppedCount > 0 || this.#output.writableLength + line.length > MAX_WAITING_BYTES) {
      this.#droppedCount++;
      this.#droppedTotal++;
    } else this.#output.write(line);
  }

  #drained(): void {
    const count = this.#droppedCount;
    this.#droppedCount = 0;
    if (count > 0) this.#onDropped(count);
  }
}

/** Makes a logger that writes to standard output: JSON, or lines for people if that is a terminal. */
export async function makeLogger(
  level: string,
  { stdout }: CommandIo,
): Promise<{ logger: Logger; output: LogOutput }> {
  const { isTTY = false, fd } = stdout;
  // Node writes synchronously to a terminal, so that one that is stopped (Ctrl-S) would stop the process.
  const stream = isTTY && fd !== undefined ? fs.createWriteStream('', { fd, autoClose: false }) : stdout;
  const output = new LogOutput(stream, (count) =>
    logger.error({ count }, `${count} log lines were dropped: nobody had read those before them`),
  );
  const logger = isTTY ? await prettyLogger(level, output) : pino({ level }, output);
  return { logger, output };
}

async function prettyLogger(level: string, output: LogOutput): Promise<Logger> {
  const { prettyFactory } = await import('pino-pretty');
  const pretty = prettyFactory({ translateTime: 'SYS:HH:MM:ss' });
  return pino({ level, base: null }, { write: (line) => output.write(pretty(line)) });
}
