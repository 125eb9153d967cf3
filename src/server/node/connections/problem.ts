import { STATUS_CODES } from 'node:http';

/** What a client is told of a failure. */
export interface Problem {
  status: number;
  /** Stable. */
  code: string;
  /** For people; says nothing of the server's machine. */
  detail: string;
}

/** The document that tells of a failure, `application/problem+json` (RFC 9457). */
export function problemDocument({ status, code, detail }: Problem): string {
  return `${JSON.stringify({ type: 'about:blank', title: code, status, detail, code })}\n`;
}

/** A whole answer as text, for a connection without a response to write it to, which is closed after it. */
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
