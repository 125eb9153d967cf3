import { InvalidArgumentError } from 'commander';

/** More than anybody waits: a day. */
const MAX_SECONDS = 86_400;

/** Parses an option's number of seconds, which may be 0. */
export function secondsOption(text: string): number {
  const seconds = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || seconds > MAX_SECONDS) {
    throw new InvalidArgumentError(`It must be a number of seconds, at most ${MAX_SECONDS}.`);
  }
  return seconds;
}

/** Parses an option's number of seconds, of which there must be some. */
export function positiveSecondsOption(text: string): number {
  const seconds = secondsOption(text);
  if (seconds < 0.001) throw new InvalidArgumentError('It must be at least 0.001.');
  return seconds;
}
