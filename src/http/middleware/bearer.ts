import type { Middleware } from '../fetch.ts';

/**
 * Sends a token (RFC 6750), unless the request has an `Authorization` of its own. A function is asked for
 * each attempt. It is for the base's origin only: redirects to others lose it.
 */
export function bearer(token: string | (() => string | Promise<string>)): Middleware {
  return (next) => async (url, init) => {
    if (init.headers.has('authorization')) return next(url, init);
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${typeof token === 'function' ? await token() : token}`);
    return next(url, { ...init, headers });
  };
}
