import { isCopy, type StreamState } from '../../storage/records/stream-state.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { namesOf, type OffsetNames } from './stream-offset.ts';

export { isCopy, type StreamState };

/** What readers are to know of a stream. */
export interface StreamView {
  state: StreamState;
  names: OffsetNames;
}

/** A file as it was at a look, and what looks again. */
export type LookedAt = Pick<StoredFile, 'stat' | 'look' | 'state'>;

/** The same file, as it is now. */
export async function lookAgain(file: LookedAt): Promise<LookedAt> {
  return { stat: await file.look(), look: () => file.look(), state: () => file.state() };
}

/** What counts of a file as a stream. */
export function viewOf({ stat }: Pick<StoredFile, 'stat'>, state: StreamState): StreamView {
  return { state, names: namesOf(stat.generation, state) };
}

/** What is known of a live stream, which may be ahead of what is remembered, as far as the file has it. */
export async function ahead(
  live: StreamState,
  remembered: StreamState,
  file: LookedAt,
): Promise<StreamState> {
  // It may be ahead of the look at the file when it was opened, too.
  const { size } = live.size > file.stat.size ? await file.state() : file.stat;
  return { ...live, size: Math.max(Math.min(live.size, size), remembered.size) };
}
