/** newline-counter.wat, assembled. */
const MODULE =
  'AGFzbQEAAAABBwFgAn9/AX8DAgEABQQBASAgBxICBm1lbW9yeQIABWNvdW50AAAKKwEpAQF/A0AgAiAA/QAEAEEK/Q/9I/1kaWohAiAAQRBqIgAgAUkNAAsgAgs=';

const LINE_FEED = 0x0a;

/** How many bytes one instruction looks at. */
const VECTOR_BYTES = 16;

/** How large a block is, in bytes: a trip to a thread for each is cheap then, and what it takes to count does not matter. */
export const COUNTED_BYTES = 1024 * 1024;

/** What the module exports. */
interface CounterExports {
  memory: { buffer: ArrayBuffer };
  count(at: number, end: number): number;
}

/** What is used of it: only the types of browsers have it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: CounterExports };
};

/** Counts line feeds, 16 bytes at a time: ten times as quickly as JavaScript does. */
export class NewlineCounter {
  /** What is counted is read into one of these first. */
  readonly blocks: readonly Buffer[];
  readonly #exports: CounterExports;

  constructor() {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(MODULE, 'base64')));
    this.#exports = exports;
    const { buffer } = this.#exports.memory;
    this.blocks = [0, COUNTED_BYTES].map((offset) => Buffer.from(buffer, offset, COUNTED_BYTES));
  }

  /**
   * How many line feeds there are in a block from `start` up to but not including `end`.
   *
   * @param block one of {@link blocks}
   */
  count(block: Buffer, start: number, end: number): number {
    const vectorsEnd = end - ((end - start) % VECTOR_BYTES);
    const { byteOffset } = block;
    let count = vectorsEnd > start ? this.#exports.count(byteOffset + start, byteOffset + vectorsEnd) : 0;
    for (let i = vectorsEnd; i < end; i++) if (block[i] === LINE_FEED) count++;
    return count;
  }
}
