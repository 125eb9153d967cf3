import { STATUS_CODES } from 'node:http';

/** A failure as the client is told. */
export interface Problem {
  status: number;
  /** Stable. */
  code: string;
  /** For people: nothing of the server's machine. */
  detail: string;
}

/** The document that tells of a failure, `application/problem+json` (RFC 9457). */
export function problemDocument({ status, code, detail }: Problem): string {
  return `${JSON.stringify({ type: 'about:blank', title: code, status, detail, code })}\n`;
}

/** An answer, as it goes over a connection that is closed then, where there is no response to write it to. */
export function rawProblem(
  problem: Problem,
  headers: readonly (readonly [name: string, value: string])[] = [],
): string {
  const { status } = problem;
  const body = problemDocument(problem);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/problem+json',
    'X-Content-Type-Options: nosniff',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}
