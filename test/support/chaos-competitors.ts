import { pipeline } from 'node:stream/promises';
import { openAppend } from '../../src/client/open-append.ts';
import { AppendConflictError, PositionMismatchError } from '../../src/errors.ts';
import { chunksWithPauses } from './chaos-clients.ts';
import { CLIENT_HEADER } from './chaos-proxy.ts';
import type { KnownBytes } from './known-bytes.ts';
import type { Random } from './random.ts';

const MAX_APPEND_BYTES = 200_000;

/** One append by one of many clients that want the same resource. */
export interface CompetingAppend {
  name: string;
  /** Its bytes are the known ones from here on. */
  offset: number;
  size: number;
  /** What its client was told. */
  outcome: 'finished' | 'refused' | 'failed';
  error: unknown;
  acknowledged: number;
  /** Where it began, if it did. */
  startPosition: number | undefined;
}

/** Tries one append, as patient or impatient as it comes. */
export async function competingAppend(
  name: string,
  url: string,
  known: KnownBytes,
  random: Random,
  signal: AbortSignal,
): Promise<CompetingAppend> {
  const offset = random.integer(0, 2_900_000);
  const size = random.logInteger(1, MAX_APPEND_BYTES);
  const result: CompetingAppend = {
    name,
    offset,
    size,
    outcome: 'finished',
    error: undefined,
    acknowledged: 0,
    startPosition: undefined,
  };
  const givesUp = random.chance(0.1) ? [AbortSignal.timeout(random.logInteger(1, 200))] : [];
  const stream = openAppend(url, {
    // Half of them have trouble from the first byte on.
    headers: random.chance(0.5) ? { [CLIENT_HEADER]: name } : {},
    retry: { times: random.pick([1, 5, 100]), minDelayMs: 1, maxDelayMs: random.pick([10, 600]) },
    signal: AbortSignal.any([signal, ...givesUp]),
    onAck: (bytes) => {
      result.acknowledged = bytes;
    },
  });
  stream.once('open', () => {
    result.startPosition = stream.startPosition;
  });
  try {
    await pipeline(chunksWithPauses(known, offset, size, random), stream);
  } catch (error) {
    result.error = error;
    const isRefusal = error instanceof AppendConflictError || error instanceof PositionMismatchError;
    result.outcome = isRefusal && result.startPosition === undefined ? 'refused' : 'failed';
  }
  return result;
}

/**
 * Takes a file apart into what each append left in it, each in one piece.
 *
 * @throws when that is not possible, or not what the clients were told
 */
export function assertWholeBlocks(
  file: Buffer,
  known: KnownBytes,
  appends: readonly CompetingAppend[],
): void {
  const rest = new Set(appends);
  const seen: string[] = [];
  for (let position = 0; position < file.length; ) {
    const where = `at ${position} of ${file.length}, after ${seen.slice(-5).join('; ') || 'nothing'},`;
    let best: CompetingAppend | undefined;
    let length = 0;
    for (const append of rest) {
      // Nothing is sent before it is known where it goes.
      if (append.startPosition !== position) continue;
      const matching = known.matchingBytes(append.offset, file.subarray(position, position + append.size));
      if (matching > length) {
        best = append;
        length = matching;
      }
    }
    if (best === undefined) throw new Error(`${where} are ${strangers(file, position, known, appends)}`);
    rest.delete(best);
    seen.push(`${length} bytes at ${position} of ${describe(best)}`);
    const isWhole = length === best.size;
    if (
      best.outcome === 'refused' ||
      (best.outcome === 'finished' && !isWhole) ||
      length < best.acknowledged
    ) {
      throw new Error(`${where} are ${seen.at(-1)}`);
    }
    position += length;
  }
  for (const append of rest) {
    if (append.outcome === 'finished' || append.acknowledged > 0) {
      throw new Error(`nothing is left of ${describe(append)}`);
    }
  }
}

/** Whose bytes there are, for messages. */
function strangers(
  file: Buffer,
  position: number,
  known: KnownBytes,
  appends: readonly CompetingAppend[],
): string {
  const sample = file.subarray(position, position + 24);
  const found = appends
    .map((append) => ({ append, at: known.slice(append.offset, append.size).indexOf(sample) }))
    .filter(({ at }) => at >= 0)
    .map(({ append, at }) => `those from ${at} on of ${describe(append)}`);
  return `strange bytes, ${sample.toString('hex')}: ${found.join(', or ') || 'nobody sent them'}`;
}

function describe({ name, outcome, size, acknowledged, startPosition, error }: CompetingAppend): string {
  const why = error === undefined ? '' : ` (${error})`;
  return `${name}, which ${outcome}${why}, of ${size} bytes, ${acknowledged} acknowledged, from ${startPosition}`;
}
