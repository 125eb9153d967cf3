import { CountingReadable } from './counting-readable.ts';

/** A readable that can fail once what has come is read: Node's own throw that away. */
export class LateFailingReadable extends CountingReadable {
  #failure: Error | undefined;

  /** An error comes after the bytes that came before it. */
  override read(size?: number): Buffer | null {
    const bytes = super.read(size);
    this.#failIfDrained();
    return bytes;
  }

  /** Errors, when what has come is read. */
  protected failLate(error: Error): void {
    this.#failure = error;
    this.#failIfDrained();
  }

  #failIfDrained(): void {
    if (this.#failure !== undefined && this.readableLength === 0) this.destroy(this.#failure);
  }
}
