import { setTimeout as delay } from 'node:timers/promises';
import { RelayLoopError } from '../wire/errors.ts';
import {
  LOOP_STATUS,
  UpstreamRequest,
  type UpstreamRequestOptions,
  type UpstreamTarget,
} from './upstream/upstream-request.ts';

/** After so long without a head it is looked at who waits for it, in milliseconds. */
const CROSSED_MS = 500;

/** In `Via`, the name of a relay. */
const RELAY_NAME = /\shttpfstream-[\w-]+/;

/** Whether a request has come by way of a relay. */
export function isOfRelay(via: string | undefined): boolean {
  return via !== undefined && RELAY_NAME.test(via);
}

/**
 * Waits for the head of a pull that a request of a relay has joined, and looks whether it waits for itself, if that
 * takes long. Two relays that have what they serve from each other, and are asked at the same moment, join each other's
 * pulls: neither finds its name in what has come, since that is not what it has sent.
 *
 * @param head rejects for whom it is refused, who is told elsewhere
 * @param target what the request asks for, as one that goes on
 * @throws {RelayLoopError} when that is so
 */
export async function assertUncrossed(
  head: Promise<unknown>,
  target: Omit<UpstreamTarget, 'signal'>,
  options: UpstreamRequestOptions,
): Promise<void> {
  const known = new AbortController();
  const { signal } = known;
  const abort = () => known.abort();
  const isKnown = head.then(abort, abort);
  await Promise.race([isKnown, delay(CROSSED_MS, undefined, { signal }).catch(abort)]);
  if (signal.aborted) return;
  const request = new UpstreamRequest({ ...target, signal }, options);
  if (await Promise.race([comesBack(request), isKnown.then(() => false)])) {
    throw new RelayLoopError('two relays have what they serve from each other');
  }
}

/** Whether a request comes back to where it has been before, as far as that can be found out. Never rejects. */
async function comesBack(request: UpstreamRequest): Promise<boolean> {
  try {
    const answer = await request.send();
    answer.cancel();
    return answer.status === LOOP_STATUS;
  } catch {
    return false;
  }
}
