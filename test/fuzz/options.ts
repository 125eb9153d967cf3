import { Random } from '../support/random.ts';

/** What `npm run fuzz` was asked for, or what `npm test` does. */
export interface FuzzOptions {
  seed: number;
  seconds: number;
  /** How many conversations are had at a time. */
  connections: number;
  /** Numbers of the only conversations to be had, again and again; undefined for all. */
  only: readonly number[] | undefined;
  /** Whether figures may be judged that a busy machine would spoil. */
  isLong: boolean;
}

const SHORT_SECONDS = 1;
const CONNECTIONS = 32;

/** Reads them from the environment, where `scripts/fuzz.mjs` puts them. */
export function fuzzOptions(): FuzzOptions {
  const { HTTPFSTREAM_FUZZ_SECONDS, HTTPFSTREAM_FUZZ_CONNECTIONS, HTTPFSTREAM_FUZZ_ONLY } = process.env;
  return {
    seed: Random.fromEnvironment().seed,
    seconds: Number(HTTPFSTREAM_FUZZ_SECONDS ?? SHORT_SECONDS),
    connections: Number(HTTPFSTREAM_FUZZ_CONNECTIONS ?? CONNECTIONS),
    only: HTTPFSTREAM_FUZZ_ONLY?.split(',').map(Number),
    isLong: HTTPFSTREAM_FUZZ_SECONDS !== undefined,
  };
}
