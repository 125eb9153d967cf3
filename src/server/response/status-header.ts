import type { IncomingMessage } from 'node:http';
import { InvalidRequestError } from '../../wire/errors.ts';
import { isStatus, STATUS_HEADER } from '../../wire/protocol.ts';

/** The header, or trailer, that tells an exit status, if there is one. */
export function statusHeaders(status: number | undefined): Record<string, string> {
  return status === undefined ? {} : { [STATUS_HEADER]: String(status) };
}

/**
 * The exit status that an appender tells: in a trailer, which it may not know before, or else in a header.
 *
 * @throws {InvalidRequestError} when it is none
 */
export function statusOf({ headers, trailers }: IncomingMessage): number | undefined {
  const text = trailers[STATUS_HEADER] ?? headers[STATUS_HEADER];
  if (text === undefined) return undefined;
  const status = Number(text);
  if (typeof text === 'string' && /^\d+$/.test(text) && isStatus(status)) return status;
  throw new InvalidRequestError('Stream-Status must be a number from 0 to 255');
}
