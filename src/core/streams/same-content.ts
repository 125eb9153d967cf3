import type { StoredFile } from '../../storage/stored-file.ts';

const BLOCK_BYTES = 256 * 1024;

/** Whether the first `size` bytes of two files are the same. */
export async function hasSameContent(one: StoredFile, other: StoredFile, size: number): Promise<boolean> {
  for (let at = 0; at < size; at += BLOCK_BYTES) {
    const length = Math.min(BLOCK_BYTES, size - at);
    const [a, b] = await Promise.all([one.read(at, length), other.read(at, length)]);
    if (!a.equals(b)) return false;
  }
  return true;
}
