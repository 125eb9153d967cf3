import type { ClientRequest } from 'node:http';
import { UpstreamError, UpstreamTimeoutError } from '../../wire/errors.ts';
import { VERB_HEADER } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { answerTo, type ForwardedAnswer, type Forwarder, isStale } from './forward.ts';
import { OpenAnswer } from './open-answer.ts';
import { isOfTheWay } from './reachability.ts';
import type { Upstream } from './upstream.ts';

/** Status of an answer of a relay to which its own request has come back. */
export const LOOP_STATUS = 508;

/** Status of an answer with a challenge, which only that answer has. */
export const UNAUTHORIZED = 401;

type Headers = Readonly<Record<string, string>>;

/** What is asked for, and for whom. */
export interface UpstreamTarget {
  path: ResourcePath;
  /** The server from which it comes. */
  upstream: Upstream;
  /** The servers through which the request for it has come, this one included. */
  via: string;
  /** Aborts when it is wanted no more. */
  signal: AbortSignal;
}

/** What requests are made with. */
export interface UpstreamRequestOptions {
  /** Makes the connections, which its owner closes. */
  forwarder: Forwarder;
  /** Longest time to the head of an answer, in milliseconds. */
  headTimeoutMs: number;
  /** Longest time without a byte of what an upstream sends, in milliseconds. */
  silenceMs: number;
}

/** A request to follow a path, which means nothing to a plain HTTP server. It is sent as often as it takes. */
export class UpstreamRequest {
  readonly path: ResourcePath;
  readonly upstream: Upstream;
  /** Where it is there. */
  readonly url: URL;
  /** Of each time that it is sent. */
  readonly headers: Headers;
  readonly signal: AbortSignal;
  readonly options: UpstreamRequestOptions;

  constructor({ path, upstream, via, signal }: UpstreamTarget, options: UpstreamRequestOptions) {
    this.path = path;
    this.upstream = upstream;
    this.url = upstream.urlOf(path);
    this.headers = { ...upstream.headers, via };
    this.signal = signal;
    this.options = options;
  }

  /**
   * Sends it.
   *
   * @param headers said besides this time
   * @throws {UpstreamError} {@link UpstreamTimeoutError} when there is no answer
   * @throws the signal's reason when it aborts
   */
  async send(headers: Headers = {}): Promise<OpenAnswer> {
    const { upstream, signal } = this;
    const { reachability } = upstream;
    try {
      const { response, socket } = await this.#send(headers, false);
      if (socket === undefined) {
        reachability.answered();
        return new OpenAnswer(response, signal, this.options.silenceMs);
      }
      socket.destroy();
      throw upstream.unreachable(new UpstreamError('the server has changed the protocol'));
    } catch (error) {
      if (isOfTheWay(error)) reachability.failed();
      throw error;
    }
  }

  /** @param isRepeated whether that was tried on a connection that the server had just closed */
  async #send(headers: Headers, isRepeated: boolean): Promise<ForwardedAnswer> {
    const { signal, upstream } = this;
    signal.throwIfAborted();
    const outgoing = this.#begin(headers);
    const late = setTimeout(() => outgoing.destroy(upstream.timedOut()), this.options.headTimeoutMs);
    const abort = () => outgoing.destroy(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    try {
      outgoing.end();
      return await answerTo(outgoing);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UpstreamTimeoutError) throw error;
      if (isRepeated || !isStale(outgoing, error)) throw upstream.unreachable(error);
    } finally {
      clearTimeout(late);
      signal.removeEventListener('abort', abort);
    }
    return this.#send(headers, true);
  }

  /** @throws {UpstreamError} when there is no way to it */
  #begin(besides: Headers): ClientRequest {
    const headers = {
      accept: '*/*',
      'accept-encoding': 'identity',
      [VERB_HEADER]: 'FOLLOW',
      ...this.headers,
      ...besides,
    };
    try {
      return this.options.forwarder.begin(this.url, { method: 'GET', headers, isHandshake: false });
    } catch (error) {
      throw this.upstream.unreachable(error);
    }
  }
}
