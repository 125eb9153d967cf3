import CachePolicy from 'http-cache-semantics';

/** What is here is held against what is there no sooner than so long after the last time. */
export const CHECKED_MS = 1000;

/** As for all who share it; what does not say how long it is fresh is looked at each time. */
const OPTIONS = { shared: true, cacheHeuristic: 0 };

/** Age from which on a date tells bytes from others reliably (RFC 9110, section 8.8.2.2). */
const STRONG_AGE_MS = 60_000;

/** What no other reader is to get, or says how long this body is. */
const NOT_STORED = [
  'set-cookie',
  'content-length',
  'transfer-encoding',
  'trailer',
  'connection',
  'keep-alive',
];

/** With these it may be for all though it has a cookie for one. */
const FOR_ALL = /(?:^|[\s,])(?:public|s-maxage)\b/;

/** These say how long it is fresh, or that it is not to be served when that is over. */
const TELLS_AGE = ['max-age', 's-maxage', 'proxy-revalidate'];

/** With these it is not served once it is stale, come what may (RFC 9111, section 4.2.4). */
const NEVER_STALE = /(?:^|[\s,])(?:no-cache|must-revalidate|proxy-revalidate|s-maxage)\b/;

type Headers = Readonly<Record<string, string>>;

/** What is remembered of it beside the file that has its body. */
export interface AnswerRecord {
  policy: ReturnType<CachePolicy['toObject']>;
  /** How many bytes the body has, if that was said. */
  size?: number;
}

/** An answer as it came. Names in lower case. */
export interface AnswerHead {
  status: number;
  headers: Headers;
}

/** The head of an answer that is kept (RFC 9111). */
export class StoredAnswer {
  readonly #url: URL;
  readonly #policy: CachePolicy;
  /** How many bytes the body has, as far as that is known. */
  readonly size: number | undefined;
  /** As they came. */
  readonly #headers: Headers;

  private constructor(url: URL, policy: CachePolicy, size: number | undefined) {
    this.#url = url;
    this.#policy = policy;
    this.size = size;
    this.#headers = policy.toObject().resh as Headers;
  }

  /** Takes an answer to a plain `GET`, or tells why it is not to be kept. */
  static of(url: URL, { status, headers: told }: AnswerHead): StoredAnswer | string {
    if (status !== 200) return `HTTP status ${status}`;
    const headers = lowerCased(told);
    const { 'content-length': length, 'transfer-encoding': framing } = headers;
    const isFramed = framing === undefined ? length !== undefined : framing.toLowerCase() === 'chunked';
    if (!isFramed) return 'nobody will know whether it is whole';
    const coding = headers['content-encoding'] ?? 'identity';
    if (coding !== 'identity') return 'coded though that was not asked for';
    const vary = (headers.vary ?? '').toLowerCase().replace('accept-encoding', '').trim();
    if (vary !== '') return 'another one for others (Vary)';
    const isForAll = FOR_ALL.test(headers['cache-control'] ?? '');
    if (headers['set-cookie'] !== undefined && !isForAll) return 'for one reader (Set-Cookie)';
    const policy = new CachePolicy(requestFor(url), { status, headers: storedHeaders(headers) }, OPTIONS);
    if (!policy.storable()) return 'not to be stored (Cache-Control)';
    return new StoredAnswer(url, policy, length === undefined ? undefined : Number(length));
  }

  /** Reads what is remembered; undefined when that makes no sense, or is of another version. */
  static from(url: URL, { policy, size }: AnswerRecord): StoredAnswer | undefined {
    try {
      return new StoredAnswer(url, CachePolicy.fromObject(policy), size);
    } catch {
      return undefined;
    }
  }

  get record(): AnswerRecord {
    return { policy: this.#policy.toObject(), ...(this.size !== undefined && { size: this.size }) };
  }

  /** Whether nobody has to be asked whether it still holds. */
  get isFresh(): boolean {
    // How old it is, a clock that was put back does not tell.
    return this.#policy.age() >= 0 && this.#policy.satisfiesWithoutRevalidation(requestFor(this.#url));
  }

  /** For how long nobody looks at it again, at most a second: also of what does not say how long it is fresh. */
  get trustedMs(): number {
    const { rescc: directives } = this.#policy.toObject();
    if ('no-cache' in directives) return 0;
    const isTold = 'expires' in this.#headers || TELLS_AGE.some((name) => name in directives);
    const leftMs = (this.#policy.maxAge() - this.#policy.age()) * 1000;
    return isTold ? Math.max(0, Math.min(CHECKED_MS, leftMs)) : CHECKED_MS;
  }

  /** Whether it may be served when nobody can be asked. */
  get mayBeStale(): boolean {
    return !NEVER_STALE.test(this.#headers['cache-control'] ?? '');
  }

  /** The entity tag, as it came. */
  get etag(): string | undefined {
    return this.#headers.etag;
  }

  /** The entity tag if it is a strong one: a weak one tells bytes from others for nobody. Empty without one. */
  get strongTag(): string {
    return this.etag?.startsWith('W/') === false ? this.etag : '';
  }

  /** When the body was changed for the last time, as it came. */
  get lastModified(): string | undefined {
    return this.#headers['last-modified'];
  }

  /** What those get who read it: with its age. */
  get headers(): Headers {
    const headers = this.#policy.responseHeaders() as Headers;
    return { ...headers, age: String(Math.max(0, Number(headers.age))) };
  }

  /** What a request says that asks whether it still holds. */
  get conditions(): Headers {
    const { etag, lastModified } = this;
    return {
      ...(etag !== undefined && { 'if-none-match': etag }),
      ...(lastModified !== undefined && { 'if-modified-since': lastModified }),
    };
  }

  /** What tells its bytes from all others for sure (`If-Range`); undefined when nothing does. */
  get strongValidator(): string | undefined {
    const { etag, lastModified } = this;
    if (etag !== undefined) return etag.startsWith('W/') ? undefined : etag;
    if (lastModified === undefined) return undefined;
    const ageMs = this.#policy.date() - Date.parse(lastModified);
    return ageMs >= STRONG_AGE_MS ? lastModified : undefined;
  }

  /**
   * Whether another answer to a request for all has the same bytes for sure. What a date tells is too little for that:
   * the server was not asked whether it is the same.
   */
  hasBytesOf(other: StoredAnswer): boolean {
    const { etag, size } = this;
    const isStrong = etag !== undefined && etag === this.strongValidator;
    return isStrong && etag === other.etag && (size ?? other.size) === (other.size ?? size);
  }

  /** Whether an answer that is a part says that it is of the same body. */
  hasPart(headers: Headers): boolean {
    if (this.etag !== undefined || headers.etag !== undefined) return headers.etag === this.etag;
    return this.lastModified !== undefined && headers['last-modified'] === this.lastModified;
  }

  /** The answer after it was found to hold still (304); undefined when that was said of another one. */
  revalidated({ headers }: Pick<AnswerHead, 'headers'>): StoredAnswer | undefined {
    const { etag, lastModified } = this;
    const isOther =
      headers.etag === undefined
        ? (headers['last-modified'] ?? lastModified) !== lastModified
        : opaqueTag(headers.etag) !== opaqueTag(etag);
    if (isOther) return undefined;
    const told = {
      ...storedHeaders(lowerCased(headers)),
      ...(etag !== undefined && { etag }),
      ...(lastModified !== undefined && { 'last-modified': lastModified }),
    };
    const response = { status: 304, headers: told };
    const { policy } = this.#policy.revalidatedPolicy(requestFor(this.#url), response);
    return new StoredAnswer(this.#url, policy, this.size);
  }
}

function storedHeaders(headers: Headers): Headers {
  const { connection = '', age = '' } = headers;
  const dropped = new Set([...NOT_STORED, ...connection.toLowerCase().split(/[\s,]+/)]);
  if (!/^\d+$/.test(age)) dropped.add('age');
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !dropped.has(name)));
}

/** With what is said to caches in lower case, as is looked for: it means the same (RFC 9111, section 5.2). */
function lowerCased(headers: Headers): Headers {
  const lowered = { ...headers };
  for (const name of ['cache-control', 'pragma']) {
    const value = headers[name];
    if (value !== undefined) lowered[name] = value.toLowerCase();
  }
  return lowered;
}

/** As weak ones are compared (RFC 9110, section 8.8.3.2). */
function opaqueTag(etag: string | undefined): string | undefined {
  return etag?.replace(/^W\//, '');
}

/** The same at all times: with a reader's own headers nothing would ever match. */
function requestFor(url: URL): { url: string; method: string; headers: Record<string, string> } {
  return { url: url.href, method: 'GET', headers: { host: url.host } };
}
