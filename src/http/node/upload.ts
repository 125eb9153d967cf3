import type { ClientRequest } from 'node:http';
import type { BodyStream } from '../body/body-stream.ts';
import { sourceOf } from '../body/source.ts';

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

  /** Whether all of the body was made. */
  get isFinished(): boolean {
    return this.#body.isFinished;
  }

  /** @throws what the body fails with by itself */
  async send(): Promise<void> {
    const source = sourceOf(this.#body);
    for (;;) {
      const chunk = await source.next();
      if (this.#isOver) return;
      if (chunk === undefined) {
        this.#request.end();
        return;
      }
      if (!this.#request.write(chunk)) await this.#drain();
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
