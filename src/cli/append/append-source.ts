import type { Readable } from 'node:stream';

/** Where the bytes of an append come from. */
export interface AppendSource {
  /** How many bytes it has, when that is known. */
  readonly size: number | undefined;
  /** What a URL that ends in `/` gets. */
  readonly fileName: string | undefined;
  /** Whether it can be read from a position on. */
  readonly canSeek: boolean;
  /** Whether it is over when it is told to stop; otherwise its end is then missing. */
  readonly mayEndAnywhere: boolean;
  /** Begins to read it, without its first `position` bytes. */
  open(position: number): Promise<Readable> | Readable;
  /** Lets go of it, whether it was read or not. */
  close(): void;
}

/** Standard input. */
export function stdinSource(stdin: Readable): AppendSource {
  return {
    size: undefined,
    fileName: undefined,
    canSeek: false,
    mayEndAnywhere: true,
    open: () => stdin,
    close: () => stdin.destroy(),
  };
}
