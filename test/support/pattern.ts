/** Bytes that differ from place to place, so that a lost, repeated or moved one shows. */
export function pattern(start: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) bytes[i] = ((start + i) * 2_654_435_761) >>> 24;
  return bytes;
}
