/** Headers that belong to the connection, to its body or to the protocol: the commands set them. */
const OWN =
  /^(?:connection|content-length|expect|host|http2-settings|keep-alive|proxy-connection|sec-.*|te|trailer|transfer-encoding|upgrade|x-verb)$/;

const NAME = /^[-!#$%&'*+.^_`|~\dA-Za-z]+$/;

/** Without line ends, and without what does not fit into a byte. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]+$/;

const TOKEN = /^[\x21-\x7e]+$/;

/** The headers of `-H` and the token of `--token`, or what is wrong with them. What they hold is not in that. */
export type ParsedHeaders = { headers: Record<string, string> } | { mistake: string };

/**
 * Makes headers of what was given on the command line.
 *
 * @param lines as `Name: value`
 * @param token to be sent as `Authorization: Bearer`
 */
export function parseHeaders(lines: readonly string[], token: string | undefined): ParsedHeaders {
  const headers: Record<string, string> = {};
  if (token !== undefined) {
    if (!TOKEN.test(token)) return { mistake: 'the token must be visible ASCII characters, without spaces' };
    headers.authorization = `Bearer ${token}`;
  }
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (colon === -1 || !NAME.test(name)) return { mistake: 'a header must look like "Name: value"' };
    if (OWN.test(name)) return { mistake: `the header ${name} cannot be given` };
    if (!VALUE.test(value)) return { mistake: `the value of the header ${name} cannot be sent` };
    if (name in headers) return { mistake: `the header ${name} is given twice` };
    headers[name] = value;
  }
  return { headers };
}
