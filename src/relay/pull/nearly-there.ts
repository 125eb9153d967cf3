import type { Part } from './fetching.ts';

/** A pull goes on for nobody when less than this part of the file is missing, and less than so many bytes. */
const SMALL_REST = 0.1;
const SMALL_REST_BYTES = 64 * 1024 * 1024;

/** Whether so little is missing of what a pull fetches that it is not worth while to stop it. */
export function isNearlyThere({ committed, size = 0 }: Part): boolean {
  const missing = size - committed;
  return missing > 0 && missing < SMALL_REST_BYTES && missing < size * SMALL_REST;
}
