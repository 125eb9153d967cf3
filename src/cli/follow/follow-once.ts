import { RangeNotSatisfiableError } from '../../wire/errors.ts';
import { messageOf } from '../io/io.ts';
import { resourceSize } from '../resource-size.ts';
import { EXIT_GONE, EXIT_STATUS_UNKNOWN, exitCodeOf } from './follow-failure.ts';
import { FollowPass, type FollowPassOptions, type PassStart } from './follow-pass.ts';

/** How {@link followOnce} and {@link followAgain} follow. */
export interface FollowResourceOptions extends Omit<FollowPassOptions, 'onOpen'> {
  /** Where to begin, and how long to wait for the resource. */
  start: PassStart;
  /** The file that is written, of which `start.from` is the size. */
  file: string | undefined;
  /** Whether the exit code is that of the command that wrote the stream. */
  passesStatus: boolean;
}

/**
 * Follows a resource to the end of its stream, and says how that went.
 *
 * @returns the exit code
 * @throws the signal's reason
 */
export async function followOnce(url: string, options: FollowResourceOptions): Promise<number> {
  const { start, signal, passesStatus, log, logVerbose } = options;
  const pass = new FollowPass(url, { ...options, onOpen: () => {} });
  logVerbose(`following data at ${url} (ctrl-C to exit)`);
  try {
    await pass.run(start);
    logVerbose(`finished following (read ${pass.bytes} bytes)`);
    if (!passesStatus) return 0;
    if (pass.status === undefined) log(`${url}: the stream finished, and no exit status was told`);
    return pass.status ?? EXIT_STATUS_UNKNOWN;
  } catch (error) {
    if (signal.aborted) stopFollowing(pass, options);
    return failFollowing(url, pass, error, options);
  }
}

/** Says how far a resource was followed that is to be followed no more. */
export function stopFollowing(pass: FollowPass, { signal, logVerbose }: FollowResourceOptions): never {
  logVerbose(`stopped following (read ${pass.bytes} bytes): ${messageOf(signal.reason)}`);
  throw signal.reason;
}

/** Says why a resource cannot be followed any more. Returns the exit code. */
export async function failFollowing(
  url: string,
  pass: FollowPass,
  error: unknown,
  options: FollowResourceOptions,
): Promise<number> {
  const { start, file, signal, log, logVerbose } = options;
  const failure = pass.isOpen ? 'error following' : 'failed to begin following';
  const isTooShort = file !== undefined && error instanceof RangeNotSatisfiableError;
  const message = isTooShort ? await sizesText(url, file, start.from as number, options) : messageOf(error);
  if (signal.aborted) stopFollowing(pass, options);
  log(`${failure} ${url}: ${message}`);
  if (pass.isOpen) logVerbose(`stopped following (read ${pass.bytes} bytes)`);
  return isTooShort ? EXIT_GONE : exitCodeOf(error);
}

async function sizesText(
  url: string,
  file: string,
  size: number,
  { headers, signal }: FollowResourceOptions,
): Promise<string> {
  const remoteSize = await resourceSize(url, headers, signal).catch(() => undefined);
  return `${file} has ${size} bytes, more than the ${remoteSize ?? 'fewer'} bytes there`;
}
