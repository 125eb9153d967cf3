/** A prime, so that no size that anything is cut into divides it. */
const BLOCK_BYTES = 1_000_003;

const BLOCK = Buffer.alloc(BLOCK_BYTES);
for (let i = 0; i < BLOCK_BYTES; i++) BLOCK[i] = Math.imul(i, 2_654_435_761) >>> 24;

/** Bytes that differ from place to place, so that a lost, repeated or moved one shows. */
export function pattern(start: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0; at < size; ) at += BLOCK.copy(bytes, at, (start + at) % BLOCK_BYTES);
  return bytes;
}
