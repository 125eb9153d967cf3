import { readdir } from 'node:fs/promises';

/** Where the server keeps its own files, below its root. */
export const RESERVED = '.httpfstream';

/** What is in a root, sorted, without the server's own directory. */
export async function resourceNames(root: string): Promise<string[]> {
  return (await readdir(root)).filter((name) => name !== RESERVED).sort();
}
