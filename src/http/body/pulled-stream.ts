/**
 * A stream that is read when it is asked, one chunk at a time. Who holds it can ask
 * without the machinery of streams, which costs as much again.
 */
export class PulledStream extends ReadableStream<Uint8Array> {
  /** The next chunk, or undefined at the end. Only for who has locked the stream, one call at a time. */
  readonly next: () => Promise<Uint8Array | undefined>;

  constructor(
    next: () => Promise<Uint8Array | undefined>,
    cancel: (reason: unknown) => void,
    start?: (controller: ReadableStreamDefaultController<Uint8Array>) => void,
  ) {
    super(
      {
        ...(start && { start }),
        async pull(controller) {
          const chunk = await next();
          if (chunk === undefined) controller.close();
          else controller.enqueue(chunk);
        },
        cancel,
      },
      { highWaterMark: 0 },
    );
    this.next = next;
  }
}
