import CachePolicy from 'http-cache-semantics';

/** As for all who share it; what does not say how long it is fresh is looked at each time. */
const OPTIONS = { shared: true, cacheHeuristic: 0 };

/** Age from which on a date tells bytes from others reliably (RFC 9110, section 8.8.2.2). */
const STRONG_AGE_MS = 60_000;

/** What no other reader is to get, or says how long this body is. */
const NOT_KEPT = ['set-cookie', 'content-length', 'transfer-encoding', 'trailer', 'connection', 'keep-alive'];

/** With these it is not served once it is stale, come what may (RFC 9111, section 4.2.4). */
const NEVER_STALE = /(?:^|[\s,])(?:no-cache|must-revalidate|proxy-revalidate|s-maxage)\b/;

type Headers = Readonly<Record<string, string>>;

/** What is remembered of it beside the file that has its body. */
export type AnswerRecord = ReturnType<CachePolicy['toObject']>;

/** The head of an answer that is kept (RFC 9111). */
export class KeptAnswer {
  readonly #url: URL;
  readonly #policy: CachePolicy;
  /** As they came. */
  readonly #headers: Headers;

  private constructor(url: URL, policy: CachePolicy) {
    this.#url = url;
    this.#policy = policy;
    this.#headers = policy.toObject().resh as Headers;
  }

  /** Takes an answer to a plain `GET`, or tells why it is not to be kept. */
  static of(url: URL, { status, headers }: Response): KeptAnswer | string {
    if (status !== 200) return `HTTP status ${status}`;
    const isFramed = headers.has('content-length') || headers.has('transfer-encoding');
    if (!isFramed) return 'nobody will know whether it is whole';
    const coding = headers.get('content-encoding') ?? 'identity';
    if (coding !== 'identity') return 'coded though that was not asked for';
    const vary = (headers.get('vary') ?? '').toLowerCase().replace('accept-encoding', '').trim();
    if (vary !== '') return 'another one for others (Vary)';
    const kept = Object.fromEntries([...headers].filter(([name]) => !NOT_KEPT.includes(name)));
    const policy = new CachePolicy(requestFor(url), { status, headers: kept }, OPTIONS);
    return policy.storable() ? new KeptAnswer(url, policy) : 'not to be stored (Cache-Control)';
  }

  /** Reads what is remembered; undefined when that makes no sense, or is of another version. */
  static from(url: URL, record: AnswerRecord): KeptAnswer | undefined {
    try {
      return new KeptAnswer(url, CachePolicy.fromObject(record));
    } catch {
      return undefined;
    }
  }

  get record(): AnswerRecord {
    return this.#policy.toObject();
  }

  /** Whether nobody has to be asked whether it still holds. */
  get isFresh(): boolean {
    return this.#policy.satisfiesWithoutRevalidation(requestFor(this.#url));
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
    return this.#policy.responseHeaders() as Headers;
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

  /** Whether another answer has the same bytes for sure. */
  hasBytesOf(other: KeptAnswer): boolean {
    return this.strongValidator !== undefined && this.strongValidator === other.strongValidator;
  }

  /** The answer after it was found to hold still (304); undefined when that was said of another one. */
  revalidated({ headers }: Response): KeptAnswer | undefined {
    const response = { status: 304, headers: Object.fromEntries(headers) };
    const { policy, matches } = this.#policy.revalidatedPolicy(requestFor(this.#url), response);
    return matches ? new KeptAnswer(this.#url, policy) : undefined;
  }
}

/** The same at all times: with a reader's own headers nothing would ever match. */
function requestFor(url: URL): { url: string; method: string; headers: Record<string, string> } {
  return { url: url.href, method: 'GET', headers: { host: url.host } };
}
