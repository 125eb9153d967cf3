import type { IncomingMessage } from 'node:http';
import { withOrigin } from '../answer/tap.ts';
import { again, canRepeat, declaredLength, isBytes, streamed } from '../body/body.ts';
import { BodyStream } from '../body/body-stream.ts';
import { isWebStream, sourceOf } from '../body/source.ts';
import { ConnectionError } from '../errors.ts';
import type { FetchBody, FetchInit } from '../fetch.ts';
import { type Agents, KeepAliveAgents } from './agents.ts';
import { answerBody } from './answer-body.ts';
import { Exchange, type Hop } from './exchange.ts';
import { proxyFor } from './proxy.ts';
import { ProxyAgent } from './proxy-agent.ts';
import { locationOf, MAX_REDIRECTS, redirected, refusedRedirect } from './redirect.ts';
import { requestHeaders } from './request-headers.ts';

/** Sends requests over node:http and node:https. */
export class Transport {
  readonly #given: Agents;
  readonly #own = new KeepAliveAgents();
  /** Connections through a proxy, each of one exchange. */
  readonly #tunnels = new Set<AbortController>();

  constructor(given: Agents) {
    this.#given = given;
  }

  /** @param isClosed whether it was closed since the request began */
  fetch(url: URL, init: FetchInit, isClosed: () => boolean): Promise<Response> {
    const agentFor = (target: URL) => {
      if (isClosed()) throw new ConnectionError('closed before the request was sent');
      return this.#agentFor(target);
    };
    return new Following(agentFor, url, init).run();
  }

  close(): void {
    this.#own.close();
    for (const tunnel of this.#tunnels) tunnel.abort();
  }

  #agentFor(url: URL): AgentChoice {
    const kind = url.protocol === 'https:' ? 'https' : 'http';
    const given = this.#given[kind];
    const proxy = given === undefined ? proxyFor(url) : undefined;
    if (proxy === undefined) return { agent: given ?? this.#own[kind], over: undefined };
    const over = new AbortController();
    this.#tunnels.add(over);
    over.signal.addEventListener('abort', () => this.#tunnels.delete(over));
    return { agent: new ProxyAgent(url, proxy, over.signal), over };
  }
}

type AgentChoice = Pick<Hop, 'agent' | 'over'>;

type AgentFor = (url: URL) => AgentChoice;

/** A request, with the redirects that it leads to. */
class Following {
  readonly #agentFor: AgentFor;
  #url: URL;
  #init: FetchInit;
  #redirects = 0;

  constructor(agentFor: AgentFor, url: URL, init: FetchInit) {
    this.#agentFor = agentFor;
    this.#url = url;
    this.#init = init;
  }

  async run(): Promise<Response> {
    try {
      this.#init.signal?.throwIfAborted();
      if (!/^https?:$/.test(this.#url.protocol)) throw new TypeError(`${this.#url.protocol} is not HTTP`);
      if (this.#url.username !== '' || this.#url.password !== '')
        throw new TypeError('the URL has credentials');
      this.#init = await withKnownBody({ ...this.#init, method: this.#init.method.toUpperCase() });
      for (;;) {
        const response = await this.#hop();
        if (response !== undefined) return response;
      }
    } catch (error) {
      endBody(this.#init.body, error);
      throw error;
    }
  }

  /** The answer, or nothing when it leads to another place. */
  async #hop(): Promise<Response | undefined> {
    const { exchange, incoming } = await this.#exchange();
    const location = locationOf(incoming);
    const mode = this.#init.redirect ?? 'follow';
    if (location === undefined || mode === 'manual') return this.#answer(exchange, incoming);
    discard(incoming);
    const status = incoming.statusCode as number;
    if (mode === 'error') throw refusedRedirect('a redirect was not expected', status, location);
    if (this.#redirects === MAX_REDIRECTS) throw refusedRedirect('too many redirects', status, location);
    this.#redirects++;
    const { url, init } = redirected(this.#url, this.#init, status, location);
    this.#url = url;
    this.#init = init;
    return undefined;
  }

  /** Sends the request; once more when it went to a connection that was being closed. */
  async #exchange(): Promise<{ exchange: Exchange; incoming: IncomingMessage }> {
    for (;;) {
      const { method, headers, signal } = this.#init;
      const body = this.#init.body as string | Uint8Array | BodyStream | undefined;
      const { agent, over } = this.#agentFor(this.#url);
      const hop = {
        url: this.#url,
        method,
        headers: requestHeaders(headers, body),
        body,
        agent,
        over,
        signal,
      };
      const exchange = new Exchange(hop);
      try {
        return { exchange, incoming: await exchange.answer };
      } catch (error) {
        const mayRepeat = exchange.isStale && canRepeat(this.#init);
        if (!mayRepeat) throw error;
        this.#init = { ...this.#init, ...(body && { body: again(body) as FetchBody }) };
      }
    }
  }

  async #answer(exchange: Exchange, incoming: IncomingMessage): Promise<Response> {
    try {
      const body = await this.#body(exchange, incoming);
      const response = new Response(body, {
        status: incoming.statusCode as number,
        statusText: incoming.statusMessage ?? '',
        headers: pairsOf(incoming.rawHeaders),
      });
      const [url = ''] = this.#url.href.split('#', 1);
      return withOrigin(response, url, this.#redirects > 0, exchange.isCoded);
    } catch (cause) {
      // A status that is none, for example: Node takes any number.
      incoming.destroy();
      throw new ConnectionError(`${this.#init.method} ${this.#url.origin}: the answer is malformed`, {
        cause,
      });
    }
  }

  /** The body of an answer. One that is empty does not hold its connection, also when nobody reads it. */
  async #body(
    exchange: Exchange,
    incoming: IncomingMessage,
  ): Promise<ReadableStream<Uint8Array> | '' | null> {
    const { statusCode, headers } = incoming;
    const hasNone = this.#init.method === 'HEAD' || statusCode === 204 || statusCode === 304;
    if (hasNone || headers['content-length'] === '0') {
      await ended(incoming);
      return hasNone || statusCode === 205 ? null : '';
    }
    if (statusCode !== 205) return answerBody(exchange.decoded(incoming), (cause) => exchange.errorOf(cause));
    // It must not have any (RFC 9110, section 15.3.6), and a `Response` cannot.
    incoming.destroy();
    return null;
  }
}

/** Resolves when an answer without a body has ended. */
function ended(incoming: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    if (incoming.closed) resolve();
    else incoming.once('close', resolve).resume();
  });
}

/** Lets go of an answer that nobody reads: its connection can be used again only if nothing is to come. */
function discard(incoming: IncomingMessage): void {
  if (incoming.headers['content-length'] === '0') incoming.resume();
  else incoming.destroy();
}

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < raw.length; i += 2) pairs.push([raw[i] as string, raw[i + 1] as string]);
  return pairs;
}

/** The request with a body that is in memory, or a stream of ours. */
async function withKnownBody(init: FetchInit): Promise<FetchInit> {
  const { body } = init;
  const isWaiting = init.headers.has('expect');
  if (body === null || body === undefined || body instanceof BodyStream) return init;
  if (isBytes(body)) return body instanceof Blob || isWaiting ? { ...init, body: streamed(body) } : init;
  if (isWebStream(body))
    return { ...init, body: new BodyStream(() => sourceOf(body), { length: declaredLength(init.headers) }) };
  // Forms and the like, which the platform knows.
  const coded = new Response(body);
  const headers = new Headers(init.headers);
  const type = coded.headers.get('content-type');
  if (type !== null && !headers.has('content-type')) headers.set('content-type', type);
  // Only those have files.
  const content =
    body instanceof FormData
      ? new BodyStream(() => sourceOf(coded.body as ReadableStream<Uint8Array>))
      : new Uint8Array(await coded.arrayBuffer());
  return { ...init, headers, body: content };
}

function endBody(body: RequestInit['body'], reason: unknown): void {
  if (body instanceof BodyStream) body.end(reason);
  else if (isWebStream(body) && !body.locked) body.cancel(reason).catch(() => {});
}
