/**
 * The chunks of an answer's body, none when it has none. Who leaves the loop cancels the body.
 *
 * @throws what the body breaks with
 */
export async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  let isOver = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      isOver = done;
      if (done) return;
      yield value;
    }
  } catch (error) {
    isOver = true;
    throw error;
  } finally {
    // The body may break while it is cancelled: nobody waits for it.
    if (!isOver) reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}
