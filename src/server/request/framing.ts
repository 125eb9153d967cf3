import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { InvalidRequestError, LengthRequiredError, UnsupportedTransferError } from '../../wire/errors.ts';
import { expectationFailed } from '../node/bare-refusals.ts';

/** @throws {UnsupportedTransferError} when a body is coded a second time, for its way */
export function assertTransferCoding({ 'transfer-encoding': coding = 'chunked' }: IncomingHttpHeaders): void {
  // Node undoes the last one, and lets the others pass.
  if (coding.trim().toLowerCase() === 'chunked') return;
  throw new UnsupportedTransferError('the Transfer-Encoding must be chunked');
}

/**
 * Checks that a request for which Node has let go of the connection, and looks at
 * nothing of this any more, has no body: its bytes would be taken for frames.
 *
 * @throws {UnsupportedTransferError} when a body is coded a second time, for its way
 * @throws {ExpectationFailedError} when it expects what nobody knows
 * @throws {InvalidRequestError} when it has a body
 */
export function assertNoBody(headers: IncomingHttpHeaders): void {
  assertTransferCoding(headers);
  if (!/^100-continue$/i.test(headers.expect ?? '100-continue')) {
    throw expectationFailed();
  }
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0) {
    throw new InvalidRequestError('a handshake has no body');
  }
}

/**
 * Checks that the end of a body can be told: in HTTP/1.0 that may be the close of
 * the connection, which Node takes for no body.
 *
 * @throws {LengthRequiredError} when it cannot
 */
export function assertLength({ httpVersion, headers }: IncomingMessage): void {
  if (httpVersion !== '1.0' || headers['content-length'] !== undefined) return;
  if (headers['transfer-encoding'] === undefined)
    throw new LengthRequiredError('in HTTP/1.0 a body needs a Content-Length');
}
