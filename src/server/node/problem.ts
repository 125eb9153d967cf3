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
