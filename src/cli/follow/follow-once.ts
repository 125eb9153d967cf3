import {
  ConnectionLostError,
  RangeNotSatisfiableError,
  ResourceGoneError,
  StreamInterruptedError,
  StreamTruncatedError,
} from '../../wire/errors.ts';
import { EXIT_FAILURE } from '../client-command.ts';
import { messageOf } from '../io/io.ts';
import { resourceSize } from '../resource-size.ts';
import { FollowPass, type FollowPassOptions, type PassStart } from './follow-pass.ts';

const EXIT_STREAM_INTERRUPTED = 3;

/** The resource was deleted, replaced or cut, or does not begin with what the output file contains. */
const EXIT_GONE = 4;

/** The connection was lost, while the stream itself may continue. */
const EXIT_CONNECTION_LOST = 5;

/** With `--exit-status`: how the command that wrote the stream ended is not known. */
export const EXIT_STATUS_UNKNOWN = 125;

/** Options of {@link followOnce} and {@link followAgain}. */
export interface FollowResourceOptions extends Omit<FollowPassOptions, 'onOpen'> {
  /** Where to begin, and how long to wait for the resource. */
  start: PassStart;
  /** The output file, of which `start.from` is the size. */
  file: string | undefined;
  /** Whether the exit code is that of the command that wrote the stream. */
  passesStatus: boolean;
}

/**
 * Follows a resource to the end of its stream, and logs the outcome.
 *
 * @returns the exit code
 * @throws the signal's reason
 */
export async function followOnce(url: string, options: FollowResourceOptions): Promise<number> {
  const { start, signal, passesStatus, log } = options;
  const pass = new FollowPass(url, { ...options, onOpen: () => {} });
  log.verbose(`following data at ${url} (ctrl-C to exit)`);
  try {
    await pass.run(start);
    log.verbose(`finished following (read ${pass.bytes} bytes)`);
    if (!passesStatus) return 0;
    if (pass.status === undefined) log.write(`${url}: the stream finished, and no exit status was told`);
    return pass.status ?? EXIT_STATUS_UNKNOWN;
  } catch (error) {
    if (signal.aborted) stopFollowing(pass, options);
    return failFollowing(url, pass, error, options);
  }
}

/** Logs how far a resource was followed, and throws the signal's reason. */
export function stopFollowing(pass: FollowPass, { signal, log }: FollowResourceOptions): never {
  log.verbose(`stopped following (read ${pass.bytes} bytes): ${messageOf(signal.reason)}`);
  throw signal.reason;
}

/** Logs why a resource cannot be followed any further. Returns the exit code. */
export async function failFollowing(
  url: string,
  pass: FollowPass,
  error: unknown,
  options: FollowResourceOptions,
): Promise<number> {
  const { start, file, signal, log } = options;
  const failure = pass.isOpen ? 'error following' : 'failed to begin following';
  const isTooShort = file !== undefined && error instanceof RangeNotSatisfiableError;
  const message = isTooShort ? await sizesText(url, file, start.from as number, options) : messageOf(error);
  if (signal.aborted) stopFollowing(pass, options);
  log.write(`${failure} ${url}: ${message}`);
  if (pass.isOpen) log.verbose(`stopped following (read ${pass.bytes} bytes)`);
  return isTooShort ? EXIT_GONE : exitCodeOf(error);
}

/** The exit code for an error of following. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof StreamInterruptedError) return EXIT_STREAM_INTERRUPTED;
  if (error instanceof ResourceGoneError || error instanceof StreamTruncatedError) return EXIT_GONE;
  return error instanceof ConnectionLostError ? EXIT_CONNECTION_LOST : EXIT_FAILURE;
}

async function sizesText(
  url: string,
  file: string,
  size: number,
  { signal, ...options }: FollowResourceOptions,
): Promise<string> {
  const remoteSize = await resourceSize(url, options, signal).catch(() => undefined);
  return `${file} has ${size} bytes, more than the ${remoteSize ?? 'fewer'} bytes there`;
}
