import { tabToken } from './tab-token.ts';

/** Fetches from this server with the token that the tab was given, if it was. */
export function fetchWithToken(url: string, init: RequestInit = {}): Promise<Response> {
  const token = tabToken();
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  return fetch(url, { ...init, headers });
}
