/** What a request can send, besides nothing. */
export type FetchBody = NonNullable<RequestInit['body']>;

/** How requests are given to a {@link Fetch}: no more than what every platform's `fetch` takes. */
export type FetchInit = RequestInit & { method: string; headers: Headers };

/**
 * Sends one request, and resolves with the head of its answer. Every platform's `fetch` is one.
 *
 * A body that is a `ReadableStream` and can be sent again is a {@link BodyStream}.
 */
export type Fetch = (url: URL, init: FetchInit) => Promise<Response>;

/** Wraps how requests are sent. */
export type Middleware = (next: Fetch) => Fetch;
