declare module 'bufferutil' {
  /** XORs `buffer` in place with the four bytes of `mask`, repeated. */
  export function unmask(buffer: Uint8Array, mask: Uint8Array): void;
}
