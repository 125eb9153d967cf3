import { randomBytes } from 'node:crypto';
import { RelayLoopError } from '../../wire/errors.ts';

/** So many servers one after the other are a loop that hides itself. */
const MAX_HOPS = 32;

/** So long is what they say, in bytes: what is longer leaves no room for other headers there. */
const MAX_VIA_BYTES = 4096;

/** The servers through which requests come (`Via`), and the place of this one among them. */
export class Hops {
  /** By which it knows a request that has come back. */
  readonly #name = `httpfstream-${randomBytes(9).toString('base64url')}`;

  /**
   * Those of a request that is passed on.
   *
   * @param via those through which it has come
   * @throws {RelayLoopError} when this one is among them: it would wait for itself
   */
  after(via = ''): string {
    const hops = via.split(',').map((hop) => hop.trim());
    const isTooMuch = hops.length > MAX_HOPS || via.length > MAX_VIA_BYTES;
    if (isTooMuch || hops.some((hop) => hop.split(' ')[1] === this.#name))
      throw new RelayLoopError('the request has come back to a relay through which it has passed');
    return [...hops.filter((hop) => hop !== ''), `1.1 ${this.#name}`].join(', ');
  }
}
