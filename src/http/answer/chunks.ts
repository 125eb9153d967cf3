import { answerSource } from '../body/source.ts';

/**
 * The chunks of an answer's body, none when it has none. Who leaves the loop cancels the body.
 *
 * @throws {InvalidSourceError} when it was read already; what the body breaks with
 */
export async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  const source = answerSource(response);
  let isOver = false;
  try {
    for (;;) {
      // What breaks is over, too.
      isOver = true;
      const chunk = await source.next();
      if (chunk === undefined) return;
      isOver = false;
      yield chunk;
    }
  } finally {
    if (!isOver) source.end(undefined);
  }
}
