import type { ClientRequest } from 'node:http';
import type { BodyStream } from '../body/body-stream.ts';

/** Sends a body as fast as the other side takes it. */
export class Upload {
  readonly #request: ClientRequest;
  readonly #body: BodyStream;
  #isOver = false;
  #drained = () => {};

  constructor(request: ClientRequest, body: BodyStream) {
    this.#request = request;
    this.#body = body;
    request.on('drain', () => this.#drained());
  }

  /** @throws what the body fails with by itself */
  async send(): Promise<void> {
    const reader = this.#body.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (this.#isOver) return;
        if (done) {
          this.#request.end();
          return;
        }
        if (!this.#request.write(value)) await this.#drain();
      }
    } catch (error) {
      if (!this.#isOver) throw error;
    }
  }

  /** Sends nothing more, and ends the source. */
  stop(reason: unknown): void {
    this.#isOver = true;
    this.#body.end(reason);
    this.#drained();
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }
}
