import type { Inheritance, StreamState } from '../../storage/records/stream-state.ts';
import { InvalidRequestError, ResourceGoneError } from '../../wire/errors.ts';

const TOKEN = /^(\d{16})_(\d{16})$/;
const BEGINNING = `${'0'.repeat(16)}_${'0'.repeat(16)}`;

/**
 * How the positions of one stream are named: `GENERATION_POSITION`, 16 digits
 * each. In what a fork has copied they have the names that the source gave them.
 */
export class OffsetNames {
  readonly #inherited: readonly Inheritance[];
  readonly #generation: number;

  /**
   * @param generation of the stream's file
   * @param inherited what a fork has copied, in order
   */
  constructor(generation: number, inherited: readonly Inheritance[] = []) {
    this.#inherited = inherited;
    // Names are to sort as positions do, whatever the clock says.
    this.#generation = Math.max(generation, (inherited.at(-1)?.generation ?? -1) + 1);
  }

  /** Names a position. */
  nameOf(position: number): string {
    return `${pad(this.#generationAt(position))}_${pad(position)}`;
  }

  /**
   * The position that a token names.
   *
   * @throws {InvalidRequestError} when it is no token
   * @throws {ResourceGoneError} when this stream, or the one before it at its path, has no such position (any more)
   */
  positionOf(token: string, size: number): number {
    if (token === '-1' || token === BEGINNING) return 0;
    const place = placeOf(token);
    if (place === undefined) throw new InvalidRequestError('the offset is malformed');
    const { generation, position } = place;
    if (position > size || generation !== this.#generationAt(position)) {
      throw new ResourceGoneError('the stream does not have this offset: it was made anew');
    }
    return position;
  }

  /** How the positions of a fork are named that copies everything up to `end`. */
  inheritedUpTo(end: number): Inheritance[] {
    const whole = this.#inherited.filter((part) => part.end < end);
    const last = this.#inherited[whole.length] ?? { generation: this.#generation };
    return [...whole, { generation: last.generation, end }];
  }

  #generationAt(position: number): number {
    return this.#inherited.find(({ end }) => position <= end)?.generation ?? this.#generation;
  }
}

/** What a token says that names a position; undefined when it is none, or names one of any stream. */
export function placeOf(token: string): { generation: number; position: number } | undefined {
  const [, generation, position] = (TOKEN.exec(token) ?? []).map(Number);
  if (generation === undefined || position === undefined) return undefined;
  const isSafe = Number.isSafeInteger(generation) && Number.isSafeInteger(position);
  return isSafe ? { generation, position } : undefined;
}

/** @param generation of the stream's file */
export function namesOf(generation: number, state: StreamState): OffsetNames {
  return new OffsetNames(state.generation ?? state.copy?.generation ?? generation, state.origin?.inherited);
}

function pad(value: number): string {
  return String(value).padStart(16, '0');
}
