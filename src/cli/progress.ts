import ora, { type Ora } from 'ora';
import { formatBytes } from './byte-size.ts';
import type { CommandIo } from './io/io.ts';

const BAR_COLUMNS = 20;
const RATE_WINDOW_MS = 5000;
const SAMPLE_MS = 250;

/**
 * Shows on a terminal how far a transfer has come. On anything but a terminal it
 * shows nothing. The cursor, hidden meanwhile, is back after {@link stop}, and
 * when the process is killed by a signal.
 */
abstract class Progress {
  readonly #spinner: Ora;
  readonly #startMs = performance.now();
  /** When how much had been done, from the beginning of the window on. */
  readonly #samples: { atMs: number; bytes: number }[] = [];

  /** @param doing what is being done */
  constructor(stderr: CommandIo['stderr'], doing: string) {
    this.#spinner = ora({
      stream: stderr as NodeJS.WriteStream,
      text: doing,
      suffixText: () => this.text(),
      // ora itself does not ask for NO_COLOR.
      color: stderr.hasColors?.() ? 'cyan' : false,
      discardStdin: false,
    });
  }

  /** How many bytes have been done. */
  protected abstract get bytes(): number;

  /** What is shown behind what is being done. */
  protected abstract text(): string;

  /** Begins to show it: what `text` needs must be there by now. */
  protected start(): void {
    // Disabled, it would write a line.
    if (this.#spinner.isEnabled) this.#spinner.start();
  }

  /** Removes what is shown. */
  stop(): void {
    if (this.#spinner.isSpinning) this.#spinner.stop();
  }

  /** Leaves a line that says how it went. */
  protected succeedIn(done: string): void {
    if (!this.#spinner.isSpinning) return;
    const seconds = (performance.now() - this.#startMs) / 1000;
    const rate = formatBytes(this.bytes / seconds);
    const text = `${done} ${formatBytes(this.bytes)} in ${seconds.toFixed(1)} s (${rate}/s)`;
    this.#spinner.stopAndPersist({ symbol: '✔', text, suffixText: '' });
  }

  /** Bytes in a second, over the last few seconds. */
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

/** What is known of an append when it begins. */
export interface AppendProgressOptions {
  /** How many bytes there are in all, when that is known. */
  size: number | undefined;
  /** How many of them are there already. */
  position: number;
}

/** How far an append has come: a bar when the size is known, or else what was sent. What counts is what is safe. */
export class AppendProgress extends Progress {
  readonly #options: AppendProgressOptions;
  #sentBytes = 0;
  #acknowledgedBytes = 0;
  #isAcknowledged = true;

  constructor(stderr: CommandIo['stderr'], options: AppendProgressOptions) {
    super(stderr, 'appending');
    this.#options = options;
    this.start();
  }

  protected get bytes(): number {
    return this.#isAcknowledged ? this.#acknowledgedBytes : this.#sentBytes;
  }

  sent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  /** @param bytes how many bytes of this append are safe by now */
  acknowledged(bytes: number): void {
    this.#acknowledgedBytes = bytes;
  }

  /** The server will not say what is safe, so that what was sent must do. */
  isNotAcknowledged(): void {
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

/** How much of a resource has been written to a file. */
export class FollowProgress extends Progress {
  readonly #position: number;
  #bytes = 0;

  /** @param position how many bytes the file had */
  constructor(stderr: CommandIo['stderr'], position: number) {
    super(stderr, 'following');
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
