import { sourceOf } from '../body/source.ts';

/**
 * The chunks of an answer's body, none when it has none. Who leaves the loop cancels the body.
 *
 * @throws what the body breaks with
 */
export async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const source = sourceOf(body);
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
