import { open } from 'node:fs/promises';

/** Makes a file of so many zero bytes, without writing them: for those that nobody reads to the end. */
export async function makeZeros(file: string, size: number): Promise<void> {
  const handle = await open(file, 'w');
  try {
    await handle.truncate(size);
  } finally {
    await handle.close();
  }
}
