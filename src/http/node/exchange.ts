import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { BodyStream } from '../body/body-stream.ts';
import { ConnectionError } from '../errors.ts';
import { onAbort } from '../on-abort.ts';
import { https } from './agents.ts';
import { decoded } from './codings.ts';
import { Upload } from './upload.ts';

/** A request to one server, without redirects. */
export interface Hop {
  url: URL;
  method: string;
  headers: Record<string, string>;
  body: string | Uint8Array | BodyStream | undefined;
  agent: http.Agent;
  /** Aborted when the exchange is over, for an agent that is told by that. */
  over: AbortController | undefined;
  signal: AbortSignal | null | undefined;
}

/** The longest wait for `100 Continue`, in milliseconds: not every server sends it (RFC 9110, section 10.1.1). */
const CONTINUE_TIMEOUT_MS = 1000;

const ignore = () => {};

/** One request over node:http, and its answer. */
export class Exchange {
  readonly #hop: Hop;
  readonly #request: ClientRequest;
  readonly #upload: Upload | undefined;
  readonly #answer: Promise<IncomingMessage>;
  #reject: (reason: unknown) => void = ignore;
  #forget = ignore;
  #continueTimer: NodeJS.Timeout | undefined;
  #incoming: IncomingMessage | undefined;
  /** What its body is read from. */
  #body: Readable | undefined;
  #isBegun = false;
  /** Why it was broken from this side. */
  #broken: { reason: unknown } | undefined;
  #error: Error | undefined;

  /**
   * Sends the request.
   *
   * @throws {TypeError} for what Node does not send
   */
  constructor(hop: Hop) {
    this.#hop = hop;
    const { url, method, headers, body, agent, signal } = hop;
    const { request } = url.protocol === 'https:' ? https() : http;
    this.#request = request(url, { method, headers, agent });
    // Their bytes are limited. Of more than so many Node would leave out the rest, without a word.
    this.#request.maxHeadersCount = 0;
    this.#upload = body instanceof BodyStream ? new Upload(this.#request, body) : undefined;
    this.#answer = new Promise((resolve, reject) => {
      this.#reject = reject;
      this.#request.once('response', (incoming) => {
        this.#answered(incoming);
        resolve(incoming);
      });
    });
    this.#request
      .on('error', (error) => this.#failed(error))
      .once('close', () => this.#ended())
      .once('continue', () => this.#sendBody())
      .once('upgrade', (_incoming, socket) => {
        socket.destroy();
        this.#break(new ConnectionError(`${url.origin} switches to a protocol that nobody has asked for`));
      });
    this.#forget = onAbort(signal, () => this.#break(signal?.reason));
    if (this.#broken === undefined) this.#send();
  }

  /** The head of the answer. */
  get answer(): Promise<IncomingMessage> {
    return this.#answer;
  }

  /** Whether the server may have closed the connection, which had been idle, without having seen the request. */
  get isStale(): boolean {
    const { code = '' } = (this.#error ?? {}) as NodeJS.ErrnoException;
    const wasClosed = code === 'ECONNRESET' || code === 'EPIPE';
    return (
      wasClosed && this.#request.reusedSocket && this.#broken === undefined && this.#incoming === undefined
    );
  }

  /**
   * The body of an answer that has one, decoded; as it is if nothing coded was asked for: who did so goes by lengths
   * and positions.
   */
  decoded(incoming: IncomingMessage): Readable {
    const isPlain = this.#hop.headers['accept-encoding'] === 'identity';
    const coding = isPlain ? undefined : incoming.headers['content-encoding'];
    this.#body = decoded(incoming, coding).on('error', ignore);
    return this.#body;
  }

  /** Whether the body of the answer has codings, and is given as it came. */
  get isCoded(): boolean {
    const coding = this.#incoming?.headers['content-encoding'] ?? 'identity';
    return this.#body === this.#incoming && coding.toLowerCase() !== 'identity';
  }

  /** What is told to whoever waits for the answer or its body. */
  errorOf(cause: Error | null | undefined): unknown {
    if (this.#broken !== undefined) return this.#broken.reason;
    const error = (this.#error ?? cause ?? undefined) as NodeJS.ErrnoException | undefined;
    // When several addresses were tried the error has a code only.
    const words = error?.message || error?.code || 'the connection was closed';
    return new ConnectionError(`${this.#hop.method} ${this.#hop.url.origin}: ${words}`, { cause: error });
  }

  #send(): void {
    const { body, headers } = this.#hop;
    if (this.#upload === undefined) {
      this.#request.end(body);
    } else if (headers.expect === undefined) {
      // The source may take its time, and the answer may begin before.
      this.#request.flushHeaders();
      this.#sendBody();
    } else {
      this.#continueTimer = setTimeout(() => this.#sendBody(), CONTINUE_TIMEOUT_MS);
    }
  }

  #sendBody(): void {
    clearTimeout(this.#continueTimer);
    if (this.#isBegun || this.#incoming !== undefined) return;
    this.#isBegun = true;
    this.#upload?.send().catch((reason) => this.#break(reason));
  }

  #answered(incoming: IncomingMessage): void {
    clearTimeout(this.#continueTimer);
    this.#incoming = incoming;
    incoming.on('error', ignore);
    const status = incoming.statusCode as number;
    // Who has refused the body reads no more of it (RFC 9112, section 9.5).
    if (status >= 300 || !this.#isBegun) this.#upload?.stop(new ConnectionError(`the answer is ${status}`));
    incoming.once('end', () => {
      // Both sides have said all; what is left of the body has no use, and no other request can follow it.
      if (!this.#request.writableFinished) this.#request.destroy();
    });
  }

  /** What goes wrong after the head is told to the request only: without this a cut looks like an end. */
  #failed(error: NodeJS.ErrnoException): void {
    this.#error ??= error;
    // Of an answer that has come as a whole nothing is lost with its connection. One that is followed by more is
    // malformed.
    const isWhole = this.#incoming?.complete === true && !error.code?.startsWith('HPE_');
    if (!isWhole) this.#incoming?.destroy(error);
    this.#reject(this.errorOf(error));
  }

  #break(reason: unknown): void {
    this.#broken ??= { reason };
    // First, since Node empties what it had received, which would look like an end.
    this.#body?.destroy(new Error('aborted'));
    this.#incoming?.destroy();
    this.#request.destroy();
    // A request that has no connection yet is closed when it gets one.
    this.#ended();
  }

  #ended(): void {
    this.#forget();
    clearTimeout(this.#continueTimer);
    this.#hop.over?.abort();
    // An error is not cheap: mostly all has been said.
    if (this.#incoming !== undefined && this.#upload?.isFinished !== false) return;
    const error = this.errorOf(undefined);
    this.#reject(error);
    this.#upload?.stop(error);
  }
}
