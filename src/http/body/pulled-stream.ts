/**
 * A stream that is read when it is asked, one chunk at a time. Who holds it can ask
 * without the machinery of streams, which costs as much again.
 */
export class PulledStream extends ReadableStream<Uint8Array> {
  readonly #next: () => Promise<Uint8Array | undefined>;
  readonly #state: { isRead: boolean };

  constructor(
    next: () => Promise<Uint8Array | undefined>,
    cancel: (reason: unknown) => void,
    start?: (controller: ReadableStreamDefaultController<Uint8Array>) => void,
  ) {
    const state = { isRead: false };
    super(
      {
        ...(start && { start }),
        async pull(controller) {
          state.isRead = true;
          const chunk = await next();
          if (chunk === undefined) controller.close();
          else controller.enqueue(chunk);
        },
        cancel,
      },
      { highWaterMark: 0 },
    );
    this.#next = next;
    this.#state = state;
  }

  /**
   * Gives the next chunk, or undefined at the end; only for who has locked the stream, one call at a time. There is none
   * when the stream was read as others are: it may hold a chunk that its reader did not wait for.
   */
  get next(): (() => Promise<Uint8Array | undefined>) | undefined {
    return this.#state.isRead ? undefined : this.#next;
  }
}
