/** Names in the bytes of an exchange, and where an answer has what they stand for. */
const SOURCES = {
  '{offset}': /^stream-next-offset: *(\S+)/im,
  '{generation}': /^stream-generation: *(\S+)|"generation":(\d+)/im,
  '{tag}': /^etag: *([^\r\n]+)/im,
  '{date}': /^last-modified: *([^\r\n]+)/im,
} as const;

/** What the server has said last of offsets, generations and tags: so that some requests name what is there. */
export class Memory {
  readonly #values: Record<string, string>;

  constructor(port: number) {
    this.#values = {
      '{host}': `127.0.0.1:${port}`,
      '{offset}': '-1',
      '{generation}': '1',
      '{tag}': '"1"',
      '{date}': 'Sat, 28 Nov 2026 00:00:00 GMT',
    };
  }

  /** @param text what came, as latin1 */
  learn(text: string): void {
    for (const [name, pattern] of Object.entries(SOURCES)) {
      const match = pattern.exec(text);
      const value = match?.[1] ?? match?.[2];
      if (value !== undefined) this.#values[name] = value;
    }
  }

  fillIn(bytes: Buffer): Buffer {
    if (!bytes.includes('{')) return bytes;
    const text = bytes.toString('latin1');
    return Buffer.from(
      text.replace(/\{(?:host|offset|generation|tag|date)\}/g, (name) => this.#values[name] as string),
      'latin1',
    );
  }
}
