/** Where the token is kept: in this tab, for as long as that is open, and for this server only. */
const KEY = 'httpfstream.token';

/** The token that this tab was given, if it was. */
export function tabToken(): string | undefined {
  return sessionStorage.getItem(KEY) ?? undefined;
}

/** Keeps a token for as long as the tab is open; undefined: forgets it. */
export function keepTabToken(token: string | undefined): void {
  if (token === undefined) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, token);
}

/** Fetches from this server with the token that the tab was given, if it was. */
export function fetchWithToken(url: string, init: RequestInit = {}): Promise<Response> {
  const token = tabToken();
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  return fetch(url, { ...init, headers });
}
