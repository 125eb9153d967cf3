import { isSendable, TOKEN_MISTAKE } from '../client/session/token.ts';

/**
 * Headers that belong to the connection or to the body: whoever sends them sets them. What is coded has another length,
 * and other positions, than what is stored.
 */
const OF_CONNECTION =
  /^(?:accept-encoding|connection|content-length|expect|host|http2-settings|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/;

/** Those, and the ones that belong to the protocol. */
const OF_PROTOCOL = new RegExp(`${OF_CONNECTION.source}|^(?:sec-.*|x-verb)$`);

const HEADER_NAME = /^[-!#$%&'*+.^_`|~\dA-Za-z]+$/;

/** Without line ends, and without characters that do not fit into a byte. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]+$/;

/** Headers, or what is wrong with them, which does not quote any secret. */
export type ParsedHeaders = { headers: Record<string, string> } | { mistake: string };

/**
 * Makes request headers of `-H` and `--token`, for an httpfstream server.
 *
 * @param lines as `Name: value`
 * @param token to be sent as `Authorization: Bearer`
 */
export function parseHeaders(lines: readonly string[], token: string | undefined): ParsedHeaders {
  return headersOf(lines, token, OF_PROTOCOL);
}

/** Makes request headers of `-H`, for any server. */
export function parseOtherHeaders(lines: readonly string[]): ParsedHeaders {
  return headersOf(lines, undefined, OF_CONNECTION);
}

function headersOf(lines: readonly string[], token: string | undefined, refused: RegExp): ParsedHeaders {
  const headers: Record<string, string> = {};
  if (token !== undefined) {
    if (!isSendable(token)) return { mistake: TOKEN_MISTAKE };
    headers.authorization = `Bearer ${token}`;
  }
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (colon === -1 || !HEADER_NAME.test(name)) return { mistake: 'a header must look like "Name: value"' };
    if (refused.test(name)) return { mistake: `the header ${name} cannot be given` };
    if (!HEADER_VALUE.test(value)) return { mistake: `the value of the header ${name} cannot be sent` };
    if (name in headers) return { mistake: `the header ${name} is given twice` };
    headers[name] = value;
  }
  return { headers };
}
