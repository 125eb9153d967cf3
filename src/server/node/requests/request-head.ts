import type { IncomingMessage } from 'node:http';

const REQUEST_LINE = /^[A-Z-]+ [\x21-\x7e\x80-\xff]+ HTTP\/\d\.\d$/;
const FIELD_LINE = /^[-!#$%&'*+.^_`|~\dA-Za-z]+: [\t\x20-\x7e\x80-\xff]*$/;

/**
 * Whether a client asks for a WebSocket, so that Node has handed over the connection. The header may
 * name nothing else: the WebSocket library insists on that.
 */
export function asksForWebSocket(request: IncomingMessage): boolean {
  const { headers, upgrade } = request as IncomingMessage & { upgrade?: boolean };
  return upgrade === true && headers.upgrade?.toLowerCase() === 'websocket';
}

/** Asks for an upgrade, as a header field or as an option of `Connection`. */
const ASKS_FOR_UPGRADE = /^(?:upgrade|http2-settings)$/i;

/**
 * The head of a request as it came, without what asks for an upgrade. Undefined
 * when it has bytes that a parser may read differently the second time, which
 * only a lenient one lets through.
 */
export function headWithoutUpgrade(request: IncomingMessage): Buffer | undefined {
  const { method, url, httpVersion, rawHeaders } = request;
  const requestLine = `${method} ${url} HTTP/${httpVersion}`;
  const fieldLines: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name, value] = rawHeaders.slice(at, at + 2) as [string, string];
    if (ASKS_FOR_UPGRADE.test(name)) continue;
    const kept = /^connection$/i.test(name) ? withoutUpgrade(value) : value;
    if (kept !== '' || value === '') fieldLines.push(`${name}: ${kept}`);
  }
  if (!REQUEST_LINE.test(requestLine) || !fieldLines.every((line) => FIELD_LINE.test(line))) return undefined;
  return Buffer.from([requestLine, ...fieldLines, '', ''].join('\r\n'), 'latin1');
}

function withoutUpgrade(connection: string): string {
  const options = connection.split(',').map((option) => option.trim());
  return options.filter((option) => !ASKS_FOR_UPGRADE.test(option)).join(', ');
}
