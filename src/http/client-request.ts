import {
  assertBody,
  assertLength,
  type Body,
  type Compress,
  gzipped,
  type Payload,
  payloadOf,
} from './body/body.ts';
import { BodyStream } from './body/body-stream.ts';
import { type FileOptions, Form } from './body/multipart.ts';
import { InvalidUrlError } from './errors.ts';
import type { Fetch, FetchBody, FetchInit, Middleware } from './fetch.ts';
import { isStreaming } from './fetch-guards.ts';
import { limits, type Progress } from './limits.ts';
import { onAbort } from './on-abort.ts';

/** What a client gives its requests. */
export interface ClientParts {
  readonly base: Base;
  readonly fetch: Fetch;
  readonly loadCompress: () => Promise<Compress>;
  readonly headers: Headers;
  readonly middleware: readonly Middleware[];
}

/** The longest time of a timer, in milliseconds: a longer one fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

const COOKIE_VALUE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/;

/** What is sent, or the signal's reason as soon as it aborts, whatever middleware is waiting for. */
function orAborted(sending: Promise<Response>, signal: AbortSignal): Promise<Response> {
  return new Promise((resolve, reject) => {
    const forget = onAbort(signal, () => reject(signal.reason));
    sending
      .then((response) => {
        // Nobody is there any more for one that comes late.
        if (signal.aborted) response.body?.cancel().catch(() => {});
        resolve(response);
      }, reject)
      .finally(forget);
  });
}

/** What both kinds of requests have. */
abstract class Settings {
  readonly #parts: ClientParts;
  readonly #method: string;
  readonly #path: string;
  readonly #parameters = new Map<string, Scalar>();
  readonly #query: [string, Scalar][] = [];
  readonly #headers: Headers;
  readonly #middleware: Middleware[] = [];
  #timeoutMs = 0;
  #idleTimeoutMs = 0;
  #onProgress: ((progress: Progress) => void) | undefined;
  #signal: AbortSignal | undefined;
  #isSent = false;

  protected loadCompress(): Promise<Compress> {
    return this.#parts.loadCompress();
  }

  constructor(parts: ClientParts, method: string, path: string) {
    this.#parts = parts;
    this.#method = method.toUpperCase();
    this.#path = path;
    this.#headers = new Headers(parts.headers);
  }

  /** Wraps how this request is sent, within what the client has. */
  use(...middleware: Middleware[]): this {
    this.#middleware.push(...middleware);
    return this;
  }

  /**
   * Fills `{name}` of the path. The value is escaped, `/` too.
   *
   * @throws {TypeError} when the path has no such parameter, or for an empty value, `.` or `..`
   */
  pathParam(name: string, value: Scalar): this {
    assertParameter(this.#path, name, value);
    this.#parameters.set(name, value);
    return this;
  }

  /** Adds a parameter to the query; none for a value that is undefined. */
  query(name: string, value: Scalar | undefined): this {
    if (value !== undefined) this.#query.push([name, value]);
    return this;
  }

  /** Sets a header, in place of the client's. */
  header(name: string, value: string): this {
    this.#headers.set(name, value);
    return this;
  }

  /** Adds a cookie. Browsers do not send it: they have their own. */
  cookie(name: string, value: string): this {
    if (!TOKEN.test(name) || !COOKIE_VALUE.test(value))
      throw new TypeError(`${name} is no cookie that can be sent`);
    const before = this.#headers.get('cookie');
    this.#headers.set('cookie', `${before === null ? '' : `${before}; `}${name}=${value}`);
    return this;
  }

  /**
   * Longest time to the answer's head, in milliseconds; for an upload, counted from the end of the body. 0, the
   * default: none.
   */
  timeout(ms: number): this {
    this.#timeoutMs = timerMs(ms);
    return this;
  }

  /**
   * Longest time in which the other side keeps us waiting and not a byte moves in either direction,
   * in milliseconds. A source or a reader that takes its time does not count. 0, the default: none.
   */
  idleTimeout(ms: number): this {
    this.#idleTimeoutMs = timerMs(ms);
    return this;
  }

  /** Aborts the request, and its answer. */
  signal(signal: AbortSignal): this {
    this.#signal = signal;
    return this;
  }

  /** Calls `onProgress` whenever bytes have moved. What it throws ends the request. */
  progress(onProgress: (progress: Progress) => void): this {
    this.#onProgress = onProgress;
    return this;
  }

  /**
   * Sends it, once. Resolves with the head of the answer, whatever its status. When it rejects, or
   * the answer's body ends, breaks or is cancelled, the source of what was sent is ended, too.
   *
   * @throws {ConnectionError} (`cause`: the platform's), {@link TimeoutError}, {@link RedirectError}; the
   *   signal's reason; the error of the body's source; {@link TypeError} for what cannot be sent
   */
  async send(): Promise<Response> {
    if (this.#isSent) throw new TypeError('a request is sent once');
    this.#isSent = true;
    const headers = this.#headers;
    const declared = headers.get('content-length');
    // Transports say it for what they send.
    headers.delete('content-length');
    const payload = await this.payload(headers, declared === null ? undefined : Number(declared));
    try {
      if (declared !== null) assertLength(declared);
      return await this.#send(payload);
    } catch (error) {
      if (payload?.content instanceof BodyStream) payload.content.end(error);
      throw error;
    }
  }

  /**
   * The body, if there is one. Sets headers that tell how it is coded.
   *
   * @param declared the length of a stream, if the application says it
   */
  protected abstract payload(headers: Headers, declared: number | undefined): Promise<Payload | undefined>;

  #send(payload: Payload | undefined): Promise<Response> {
    const { base, fetch, middleware } = this.#parts;
    if (payload !== undefined && (this.#method === 'GET' || this.#method === 'HEAD')) {
      throw new TypeError(`${this.#method} has no body`);
    }
    const url = base.urlOf(this.#path, this.#parameters, this.#query);
    const headers = this.#headers;
    if (base.authorization !== undefined && !headers.has('authorization')) {
      headers.set('authorization', base.authorization);
    }
    if (payload?.type !== undefined && !headers.has('content-type'))
      headers.set('content-type', payload.type);
    // Others than ours do not wait for the answer to it, and some refuse it.
    if (!isStreaming(fetch)) headers.delete('expect');
    const settings = {
      timeoutMs: this.#timeoutMs,
      idleTimeoutMs: this.#idleTimeoutMs,
      onProgress: this.#onProgress,
    };
    // The first is the outermost. Limits are innermost: each attempt has its own time, and does not wait for its turn
    // in it.
    const all = [...middleware, ...this.#middleware, limits(settings, isStreaming(fetch))];
    const init: FetchInit = { method: this.#method, headers };
    if (payload !== undefined) init.body = payload.content as FetchBody;
    if (this.#signal !== undefined) init.signal = this.#signal;
    const sending = all.reduceRight((next, wrap) => wrap(next), fetch)(url, init);
    return this.#signal === undefined ? sending : orAborted(sending, this.#signal);
  }
}

/** A request with any body. */
export class ClientRequest extends Settings {
  #body: Body | undefined;
  #type: string | undefined;
  #form: URLSearchParams | undefined;
  #isGzipped = false;

  /**
   * Sends a body as it is.
   *
   * @throws {InvalidSourceError} when it cannot be sent
   */
  body(body: Body, contentType?: string): this {
    assertBody(body);
    this.#set(body, contentType);
    return this;
  }

  /** Sends a value as JSON. */
  json(value: unknown): this {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError('the value has no JSON');
    this.#set(text, 'application/json');
    return this;
  }

  /** Adds a field to a form (application/x-www-form-urlencoded). */
  form(name: string, value: string): this {
    if (this.#form === undefined) {
      this.#set('', 'application/x-www-form-urlencoded');
      this.#form = new URLSearchParams();
    }
    this.#form.append(name, value);
    return this;
  }

  /** Compresses the body on the way. A source that fails breaks the request: it never looks complete. */
  gzip(): this {
    this.#isGzipped = true;
    return this;
  }

  protected async payload(headers: Headers, declared: number | undefined): Promise<Payload | undefined> {
    if (this.#body === undefined) return undefined;
    // The length of what is compressed is another.
    const length = this.#isGzipped ? undefined : declared;
    const { content, type, coding } = payloadOf(this.#form?.toString() ?? this.#body, length);
    const payload = { content, type: this.#type ?? type };
    const codings = [...(coding === undefined ? [] : [coding]), ...(this.#isGzipped ? ['gzip'] : [])];
    if (codings.length > 0) headers.set('content-encoding', codings.join(', '));
    if (!this.#isGzipped) return payload;
    return { ...payload, content: await gzipped(content, await this.loadCompress()) };
  }

  #set(body: Body, type: string | undefined): void {
    if (this.#body !== undefined) throw new TypeError('the request has a body already');
    this.#body = body;
    this.#type = type;
  }
}

/** A request with a multipart/form-data body. */
export class MultipartRequest extends Settings {
  readonly #form = new Form();

  field(name: string, value: Scalar): this {
    this.#form.addField(name, String(value));
    return this;
  }

  /**
   * Adds a file.
   *
   * @throws {InvalidSourceError} when the source cannot be sent
   */
  file(name: string, filename: string, source: Body, options?: FileOptions): this {
    assertBody(source);
    this.#form.addFile(name, filename, source, options);
    return this;
  }

  protected async payload(headers: Headers): Promise<Payload> {
    // Without its boundary nobody can read it.
    headers.delete('content-type');
    return this.#form.payload();
  }
}

/** @throws {RangeError} */
function timerMs(ms: number): number {
  if (!(ms >= 0)) throw new RangeError('a time limit must be a number of milliseconds, 0 or more');
  return Math.min(Math.ceil(ms), MAX_TIMER_MS);
}

export type Scalar = string | number | boolean;

const PARAMETER = /\{(\w+)\}/g;

/** What all requests of a client are below. */
export class Base {
  readonly #url: URL;
  /** The header for user and password of the URL. */
  readonly authorization: string | undefined;

  /** @throws {InvalidUrlError} unless it is an http or https URL */
  constructor(url: string | URL) {
    if (!URL.canParse(String(url)) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new InvalidUrlError('the base URL must begin with http:// or https://');
    }
    this.#url = new URL(url);
    const { username, password } = this.#url;
    this.authorization = username === '' && password === '' ? undefined : basic(username, password);
    this.#url.username = '';
    this.#url.password = '';
    this.#url.hash = '';
  }

  /** @throws {TypeError} for a path with a parameter that nobody has filled, or that leads out of the base */
  urlOf(path: string, parameters: ReadonlyMap<string, Scalar>, query: readonly [string, Scalar][]): URL {
    const filled = path.replace(PARAMETER, (_, name: string) => {
      const value = parameters.get(name);
      if (value === undefined) throw new TypeError(`nobody has filled {${name}} of the path ${path}`);
      return encodeURIComponent(String(value));
    });
    const [pathname = '', search = ''] = split(filled);
    const url = new URL(this.#url);
    const root = url.pathname.replace(/\/$/, '');
    if (pathname !== '') {
      url.pathname = `${root}/${pathname.replace(/^\//, '')}`;
      if (!`${url.pathname}/`.startsWith(`${root}/`))
        throw new TypeError(`the path ${path} leads out of the base`);
    }
    const more = new URLSearchParams(
      query.map(([name, value]): [string, string] => [name, String(value)]),
    ).toString();
    url.search = [url.search.slice(1), search, more].filter((part) => part !== '').join('&');
    return url;
  }
}

/** @throws {TypeError} when the path has no such parameter, or the value is no name */
export function assertParameter(path: string, name: string, value: Scalar): void {
  if (![...path.matchAll(PARAMETER)].some(([, known]) => known === name)) {
    throw new TypeError(`the path ${path} has no {${name}}`);
  }
  // URLs have no way to write them: they are steps of a path, also when they are escaped.
  if (['', '.', '..'].includes(String(value)))
    throw new TypeError(`{${name}} cannot be ${JSON.stringify(value)}`);
}

function split(path: string): string[] {
  const [withoutFragment = ''] = path.split('#');
  const mark = withoutFragment.indexOf('?');
  return mark === -1 ? [withoutFragment] : [withoutFragment.slice(0, mark), withoutFragment.slice(mark + 1)];
}

function basic(username: string, password: string): string {
  const bytes = new TextEncoder().encode(`${decode(username)}:${decode(password)}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

/** A malformed escape is taken literally. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
