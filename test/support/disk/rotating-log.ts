import {
  appendFileSync,
  closeSync,
  copyFileSync,
  openSync,
  renameSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Time between two lines: 200 of them in a second. */
const PACE_MS = 5;

/** A program that writes numbered lines to a file which is rotated under it. */
export class RotatingLog {
  readonly #path: string;
  #fd: number;
  #lines = 0;
  #rotations = 0;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'a');
  }

  /** Everything that was written. */
  get text(): string {
    return Array.from({ length: this.#lines }, (_, i) => lineOf(i)).join('');
  }

  /** Writes so many lines, one after the other. */
  async write(lines: number): Promise<void> {
    for (let i = 0; i < lines; i++) {
      this.writeAtOnce(1);
      await delay(PACE_MS);
    }
  }

  /** Writes so many lines without a pause. */
  writeAtOnce(lines: number): void {
    for (let i = 0; i < lines; i++) {
      writeSync(this.#fd, lineOf(this.#lines));
      this.#lines++;
    }
  }

  /** Takes the file's name away; the program goes on writing to it. */
  rename(): void {
    this.#rotations++;
    renameSync(this.#path, `${this.#path}.${this.#rotations}`);
  }

  unlink(): void {
    unlinkSync(this.#path);
  }

  /** Makes an empty file for the program, as logrotate does. */
  create(): void {
    appendFileSync(this.#path, '');
  }

  /** Copies the file and cuts it, as logrotate does with copytruncate. */
  copyAndTruncate(): void {
    this.#rotations++;
    copyFileSync(this.#path, `${this.#path}.${this.#rotations}`);
    truncateSync(this.#path);
  }

  /** The program opens the file anew. */
  reopen(): void {
    closeSync(this.#fd);
    this.#fd = openSync(this.#path, 'a');
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function lineOf(number: number): string {
  return `line ${number}\n`;
}
