import type { Ora } from 'ora';
import type { CommandIo, Output } from './io/io.ts';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

const BAR_COLUMNS = 20;
const RATE_WINDOW_MS = 5000;
const SAMPLE_MS = 250;

/** A terminal that can show progress. */
export interface ProgressTerminal {
  stderr: Output;
  /** The library that draws there. */
  ora: typeof import('ora').default;
}

/**
 * The terminal on standard error; undefined if that is not a terminal, or cannot show progress.
 * The library is loaded only if it is needed: that takes a third of a command's start.
 */
export async function progressTerminal({ stderr }: CommandIo): Promise<ProgressTerminal | undefined> {
  // On a terminal of width 0, ora would clear lines for ever.
  if (!stderr.isTTY || !stderr.columns) return undefined;
  const { default: ora } = await import('ora');
  return { stderr, ora };
}

/** Formats a number of bytes for people: `999 B`, `1.2 kB`, `34.5 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 999.95 would be rounded to 1000.0.
  while (value >= (unit === 0 ? 1000 : 999.95) && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/**
 * Shows the progress of a transfer on a terminal. The cursor is hidden until
 * {@link stop}, or until the process is killed by a signal.
 */
abstract class Progress {
  readonly #spinner: Ora;
  readonly #startMs = performance.now();
  /** How many bytes had been done at which time, within the window. */
  readonly #samples: { atMs: number; bytes: number }[] = [];

  /** @param doing what is being done */
  constructor({ stderr, ora }: ProgressTerminal, doing: string) {
    this.#spinner = ora({
      stream: stderr as NodeJS.WriteStream,
      text: doing,
      suffixText: () => this.text(),
      // ora itself ignores NO_COLOR.
      color: stderr.hasColors?.() ? 'cyan' : false,
      discardStdin: false,
    });
  }

  /** How many bytes have been done. */
  protected abstract get bytes(): number;

  /** What is shown after what is being done. */
  protected abstract text(): string;

  /** To be called by the subclass's constructor, once `text` can be called. */
  protected start(): void {
    // A disabled spinner would write a line.
    if (this.#spinner.isEnabled) this.#spinner.start();
  }

  /** Clears what is shown. */
  stop(): void {
    if (this.#spinner.isSpinning) this.#spinner.stop();
  }

  /** Replaces what is shown by a line that sums it up. */
  protected succeedIn(done: string): void {
    if (!this.#spinner.isSpinning) return;
    const seconds = (performance.now() - this.#startMs) / 1000;
    const rate = formatBytes(this.bytes / seconds);
    const text = `${done} ${formatBytes(this.bytes)} in ${seconds.toFixed(1)} s (${rate}/s)`;
    this.#spinner.stopAndPersist({ symbol: '✔', text, suffixText: '' });
  }

  /** Bytes per second, over the last few seconds. */
  protected rate(): number {
    const atMs = performance.now();
    const isDue = atMs - (this.#samples.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY) >= SAMPLE_MS;
    if (isDue) this.#samples.push({ atMs, bytes: this.bytes });
    while (this.#samples.length > 1 && atMs - this.#samples[0]!.atMs > RATE_WINDOW_MS) this.#samples.shift();
    const oldest = this.#samples[0]!;
    const elapsedMs = atMs - oldest.atMs;
    return elapsedMs === 0 ? 0 : ((this.bytes - oldest.bytes) / elapsedMs) * 1000;
  }
}

/** What is known of an append when it starts. */
export interface AppendProgressOptions {
  /** How many bytes the source has, if that is known. */
  size: number | undefined;
  /** How many of them the resource has already. */
  position: number;
}

/** Progress of an append: a bar if the size is known, or else numbers. Acknowledged bytes count. */
export class AppendProgress extends Progress {
  readonly #options: AppendProgressOptions;
  #sentBytes = 0;
  #acknowledgedBytes = 0;
  #isAcknowledged = true;

  constructor(terminal: ProgressTerminal, options: AppendProgressOptions) {
    super(terminal, 'appending');
    this.#options = options;
    this.start();
  }

  protected get bytes(): number {
    return this.#isAcknowledged ? this.#acknowledgedBytes : this.#sentBytes;
  }

  sent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  /** @param bytes how many bytes of this append are acknowledged in all */
  acknowledged(bytes: number): void {
    this.#acknowledgedBytes = bytes;
  }

  /** The server acknowledges nothing until the end: bytes that were sent count instead. */
  withoutAcknowledgements(): void {
    this.#isAcknowledged = false;
  }

  succeed(): void {
    this.succeedIn('appended');
  }

  protected text(): string {
    const { size, position } = this.#options;
    const rate = this.rate();
    if (size === undefined) {
      const acknowledged = formatBytes(this.#acknowledgedBytes);
      return `${formatBytes(this.#sentBytes)} sent, ${acknowledged} acknowledged, ${formatBytes(rate)}/s`;
    }
    const done = Math.min(position + this.bytes, size);
    const fraction = size === 0 ? 1 : done / size;
    const amount = `${formatBytes(done)} of ${formatBytes(size)}`;
    const left = rate > 0 ? `, ${formatSeconds((size - done) / rate)} left` : '';
    return `${bar(fraction)} ${Math.floor(fraction * 100)}% ${amount}, ${formatBytes(rate)}/s${left}`;
  }
}

/** Progress of following a resource into a file. */
export class FollowProgress extends Progress {
  readonly #position: number;
  #bytes = 0;

  /** @param position how many bytes the file had at the start */
  constructor(terminal: ProgressTerminal, position: number) {
    super(terminal, 'following');
    this.#position = position;
    this.start();
  }

  protected get bytes(): number {
    return this.#bytes;
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  succeed(): void {
    this.succeedIn('received');
  }

  protected text(): string {
    return `${formatBytes(this.#position + this.#bytes)}, ${formatBytes(this.rate())}/s`;
  }
}

function bar(fraction: number): string {
  const filled = Math.floor(fraction * BAR_COLUMNS);
  const tip = filled < BAR_COLUMNS ? '>' : '';
  return `[${'='.repeat(filled)}${tip}${' '.repeat(BAR_COLUMNS - filled - tip.length)}]`;
}

/** `3 s`, `2:05`, `1:02:03`. */
function formatSeconds(exact: number): string {
  const seconds = Math.ceil(exact);
  if (seconds < 60) return `${seconds} s`;
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}
