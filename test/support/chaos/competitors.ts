import { pipeline } from 'node:stream/promises';
import { openAppend } from '../../../src/client/append/open-append.ts';
import { AppendConflictError, PositionMismatchError } from '../../../src/wire/errors.ts';
import type { Random } from '../random.ts';
import { chunksWithPauses } from './clients.ts';
import type { KnownBytes } from './known-bytes.ts';
import { CLIENT_HEADER } from './proxy.ts';

const MAX_APPEND_BYTES = 200_000;

/** So many bytes in a row are never right by chance. */
const MAX_CHANCE_BYTES = 8;

const RETRY_DELAYS = [
  { minDelayMs: 1, maxDelayMs: 10 },
  { minDelayMs: 100, maxDelayMs: 400 },
] as const;

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

/** What one of them left in the file. */
interface Block {
  append: CompetingAppend;
  length: number;
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
    // Some have trouble from the first byte on.
    headers: random.chance(0.9) ? { [CLIENT_HEADER]: name } : {},
    // Some are back at once, others maybe too late.
    retry: { times: random.pick([1, 5, 20]), ...random.pick(RETRY_DELAYS) },
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
  const rest = new Map<number | undefined, CompetingAppend[]>();
  for (const append of appends) {
    const others = rest.get(append.startPosition);
    if (others === undefined) rest.set(append.startPosition, [append]);
    else others.push(append);
  }
  /** The one that left most at a position; what was told to have finished comes first. */
  const blockAt = (position: number): Block | undefined => {
    const blocks = (rest.get(position) ?? []).map((append) => {
      const bytes = file.subarray(position, position + append.size);
      return { append, length: known.matchingBytes(append.offset, bytes) };
    });
    const score = ({ append, length }: Block) =>
      length + (append.outcome === 'finished' && length === append.size ? MAX_APPEND_BYTES : 0);
    return blocks.filter(({ length }) => length > 0).sort((a, b) => score(b) - score(a))[0];
  };

  const seen: string[] = [];
  for (let position = 0; position < file.length; ) {
    const where = `at ${position} of ${file.length}, after ${seen.slice(-5).join('; ') || 'nothing'},`;
    const block = blockAt(position);
    if (block === undefined) throw new Error(`${where} are ${strangers(file, position, known, appends)}`);
    const { append } = block;
    let { length } = block;
    rest.get(position)?.splice(rest.get(position)?.indexOf(append) as number, 1);
    // The bytes after it may by chance be those that it would have had next.
    for (let shorter = length - 1; shorter > 0 && shorter > length - MAX_CHANCE_BYTES; shorter--) {
      const next = position + length;
      if (append.outcome === 'finished' || next === file.length || blockAt(next) !== undefined) break;
      if (blockAt(position + shorter) !== undefined) length = shorter;
    }
    seen.push(`${length} bytes at ${position} of ${describe(append)}`);
    const isWhole = length === append.size;
    if (
      append.outcome === 'refused' ||
      (append.outcome === 'finished' && !isWhole) ||
      length < append.acknowledged
    ) {
      throw new Error(`${where} are ${seen.at(-1)}`);
    }
    position += length;
  }
  for (const append of [...rest.values()].flat()) {
    const { outcome, size, acknowledged, startPosition = 0, offset } = append;
    const promised = outcome === 'finished' ? size : acknowledged;
    // Very few bytes may by chance have been taken for the next ones of the block before.
    const bytes = file.subarray(startPosition, startPosition + promised);
    const isThere = promised < MAX_CHANCE_BYTES && known.difference(offset, bytes) === undefined;
    if (promised > 0 && !(isThere && bytes.length === promised)) {
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
    .filter(({ append, at }) => at >= 0 && append.startPosition !== undefined)
    .map(({ append, at }) => `those from ${at} on of ${describe(append)}`);
  return `strange bytes, ${sample.toString('hex')}: ${found.slice(-3).join(', or ') || 'nobody sent them'}`;
}

function describe({ name, outcome, size, acknowledged, startPosition, error }: CompetingAppend): string {
  const why = error === undefined ? '' : ` (${error})`;
  return `${name}, which ${outcome}${why}, of ${size} bytes, ${acknowledged} acknowledged, from ${startPosition}`;
}
