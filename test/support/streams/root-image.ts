import { readdirSync, readFileSync } from 'node:fs';
import { open, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { RESERVED } from '../disk/root-files.ts';

const REDO = path.join(RESERVED, 'redo');
const RESERVE = path.join(RESERVED, 'reserve');

/** What was in a root at one moment, to be put back as often as need be: into the same files, by which streams know themselves. */
export class RootImage {
  readonly root: string;
  readonly #contents: ReadonlyMap<string, Buffer>;

  private constructor(root: string, contents: ReadonlyMap<string, Buffer>) {
    this.root = root;
    this.#contents = contents;
  }

  /** Of a root that no server uses, or one of this process, with which nothing happens meanwhile. */
  static take(root: string): RootImage {
    const contents = new Map<string, Buffer>();
    for (const name of filesIn(root)) contents.set(name, readFileSync(path.join(root, name)));
    return new RootImage(root, contents);
  }

  /** The journal; its newest segment if there are several. */
  get log(): Buffer {
    return this.#contents.get(this.#logName) ?? Buffer.alloc(0);
  }

  /** Puts everything back, with another journal. */
  async restore(log: Buffer): Promise<void> {
    for (const name of filesIn(this.root)) {
      if (!this.#contents.has(name)) await rm(path.join(this.root, name));
    }
    for (const [name, content] of this.#contents) {
      const bytes = name === this.#logName ? log : content;
      await overwrite(path.join(this.root, name), bytes);
    }
  }

  get #logName(): string {
    const logs = [...this.#contents.keys()].filter((name) => path.dirname(name) === REDO).sort();
    return logs.at(-1) ?? '';
  }
}

/** Where the records of a journal end: each begins with the length of what follows its first eight bytes. */
export function recordEnds(log: Buffer): number[] {
  const ends: number[] = [];
  for (let at = 0; at + 8 <= log.length; ) {
    const length = log.readUInt32LE(at);
    if (length === 0 || at + 8 + length > log.length) break;
    at += 8 + length;
    ends.push(at);
  }
  return ends;
}

function filesIn(root: string): string[] {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  return (
    entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => path.relative(root, path.join(parentPath, name)))
      // Room that is kept has nothing to say.
      .filter((name) => path.dirname(name) !== RESERVE)
  );
}

async function overwrite(name: string, bytes: Buffer): Promise<void> {
  const file = await open(name, 'r+').catch(() => undefined);
  if (file === undefined) {
    await writeFile(name, bytes);
    return;
  }
  try {
    await file.truncate(0);
    await file.write(bytes, 0, bytes.length, 0);
  } finally {
    await file.close();
  }
}
