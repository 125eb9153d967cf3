import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** Where the server keeps its own files, below its root. */
export const RESERVED = '.httpfstream';

/** What is in a root, sorted, without the server's own directory. */
export async function resourceNames(root: string): Promise<string[]> {
  return (await readdir(root)).filter((name) => name !== RESERVED).sort();
}

/** Paths of the documents that a server keeps beside the resources of its root. */
export async function sidecarsOf(root: string): Promise<string[]> {
  const entries = await readdir(path.join(root, RESERVED, 'meta'), {
    recursive: true,
    withFileTypes: true,
  }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
    .map(({ parentPath, name }) => path.join(parentPath, name));
}

/** What a server remembers of the last append to each of its resources, by their paths. */
export async function rememberedIn(root: string): Promise<Record<string, Record<string, unknown>>> {
  const documents = await Promise.all((await sidecarsOf(root)).map((file) => readFile(file, 'utf8')));
  return Object.fromEntries(
    documents.map((text) => JSON.parse(text)).map(({ path, append }) => [path, append]),
  );
}
