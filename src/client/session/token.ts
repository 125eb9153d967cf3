/**
 * A token, or a function that returns it before each connection, because it changes: undefined when there is none. Such
 * a function is asked once more when the server has refused the one before.
 */
export type StreamToken = string | (() => string | undefined | Promise<string | undefined>);

const FORM = /^[\x21-\x7e]+$/;

/** Says what is wrong with a token, and does not show it. */
export const TOKEN_MISTAKE = 'the token must be visible ASCII characters, without spaces';

/** Whether a token can be sent. */
export function isSendable(token: string): boolean {
  return FORM.test(token);
}

/**
 * Request headers with a token, which takes precedence over what they have.
 *
 * @throws {TypeError} when it cannot be sent
 */
export function withBearer(
  headers: Readonly<Record<string, string>>,
  token: string | undefined,
): Readonly<Record<string, string>> {
  if (token === undefined) return headers;
  if (!isSendable(token)) throw new TypeError(TOKEN_MISTAKE);
  const others = Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization');
  return { ...Object.fromEntries(others), authorization: `Bearer ${token}` };
}
