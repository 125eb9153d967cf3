import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import type { CommandIo } from '../io/io.ts';
import type { FollowProgress } from '../progress.ts';

export interface FollowOutput {
  /** Writes bytes of the resource at a URL; resolves when there is room for more. */
  write(chunk: Buffer, url: string): Promise<void>;
}

export interface StandardOutputOptions {
  /** Whether the bytes of each URL have a header. */
  hasHeaders: boolean;
  /** Aborts the wait for a slow reader. */
  signal: AbortSignal;
}

/** Standard output, with headers as `tail` writes them when there are several resources. */
export class StandardOutput implements FollowOutput {
  readonly #stdout: CommandIo['stdout'];
  readonly #options: StandardOutputOptions;
  #current: string | undefined;
  /** Shared by all writers that wait for room. */
  #drained: Promise<void> | undefined;

  constructor(stdout: CommandIo['stdout'], options: StandardOutputOptions) {
    this.#stdout = stdout;
    this.#options = options;
  }

  async write(chunk: Buffer, url: string): Promise<void> {
    if (this.#options.hasHeaders && url !== this.#current) this.#stdout.write(this.#headerOf(url));
    this.#current = url;
    if (!this.#stdout.write(chunk)) this.#drained ??= this.#waitForDrain();
    await this.#drained;
  }

  async #waitForDrain(): Promise<void> {
    await once(this.#stdout, 'drain', { signal: this.#options.signal });
    this.#drained = undefined;
  }

  #headerOf(url: string): string {
    const text = `==> ${url} <==`;
    const header = this.#stdout.hasColors?.() ? `\u001b[1;36m${text}\u001b[0m` : text;
    return `${this.#current === undefined ? '' : '\n'}${header}\n`;
  }
}

/** A local file that is appended to. */
export class FileOutput implements FollowOutput {
  /** How many bytes it had when it was opened. */
  readonly size: number;
  readonly #file: FileHandle;

  private constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.size = size;
  }

  /** @throws the system's error when it cannot be made or written */
  static async open(path: string): Promise<FileOutput> {
    const file = await open(path, 'a');
    const { size } = await file.stat();
    return new FileOutput(file, size);
  }

  write(chunk: Buffer): Promise<void> {
    return this.#file.appendFile(chunk);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Shows the progress of another output. */
export class ProgressOutput implements FollowOutput {
  readonly #output: FollowOutput;
  readonly #progress: FollowProgress;

  constructor(output: FollowOutput, progress: FollowProgress) {
    this.#output = output;
    this.#progress = progress;
  }

  async write(chunk: Buffer, url: string): Promise<void> {
    await this.#output.write(chunk, url);
    this.#progress.received(chunk.length);
  }
}
