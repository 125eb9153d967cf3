import { closeReasonOf, isStatus } from '../../wire/protocol.ts';
import type { AppendOptions } from './append-options.ts';

/**
 * Asks for the exit status that an append is to tell, and lays it out for the close frame.
 *
 * @throws what the caller's own function throws
 * @throws {TypeError} when it gives none
 */
export async function askCloseReason({ status: ask }: AppendOptions): Promise<string> {
  const status = await ask?.();
  if (status !== undefined && !isStatus(status)) {
    throw new TypeError('the status must be an integer from 0 to 255');
  }
  return closeReasonOf(status);
}
