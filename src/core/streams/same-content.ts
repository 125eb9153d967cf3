import type { NewFile } from '../../storage/new-file.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { ContentMismatchError } from '../../wire/errors.ts';

const BLOCK_BYTES = 256 * 1024;

/** @throws {ContentMismatchError} when a file of which `size` bytes count is not the same as a new one */
export async function assertSameContent(file: StoredFile, size: number, content: NewFile): Promise<void> {
  if (content.size === size && (await hasSameContent(file, content, size))) return;
  throw new ContentMismatchError(
    'there is other content at this path, and nothing is overwritten: append with ?verb=APPEND, or delete it first',
  );
}

/** Whether the first `size` bytes of two files are the same. */
async function hasSameContent(one: StoredFile, other: StoredFile, size: number): Promise<boolean> {
  for (let at = 0; at < size; at += BLOCK_BYTES) {
    const length = Math.min(BLOCK_BYTES, size - at);
    const [a, b] = await Promise.all([one.read(at, length), other.read(at, length)]);
    if (!a.equals(b)) return false;
  }
  return true;
}
