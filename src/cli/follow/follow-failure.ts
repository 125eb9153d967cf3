import {
  ConnectionLostError,
  ResourceGoneError,
  StreamInterruptedError,
  StreamTruncatedError,
} from '../../wire/errors.ts';
import { EXIT_FAILURE } from '../client-command.ts';

const EXIT_STREAM_INTERRUPTED = 3;

/** The resource is no more what it was, or what a file holds of it. */
export const EXIT_GONE = 4;

/** The stream may go on: it is the own connection that is lost. */
const EXIT_CONNECTION_LOST = 5;

/** With `--exit-status`: nobody knows how the command that wrote the stream ended. */
export const EXIT_STATUS_UNKNOWN = 125;

/** Why following ends before the streams do. */
export class FollowingStopped extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** The exit code that tells how following failed. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof StreamInterruptedError) return EXIT_STREAM_INTERRUPTED;
  if (error instanceof ResourceGoneError || error instanceof StreamTruncatedError) return EXIT_GONE;
  return error instanceof ConnectionLostError ? EXIT_CONNECTION_LOST : EXIT_FAILURE;
}
