/** What the system says of a connection, and of nothing else that a server has open. */
const CODES = [
  'ECANCELED',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTCONN',
  'EPIPE',
  'ETIMEDOUT',
];

/** Whether an error is what became of a connection: a call of the system failed that was about no file. */
export function isSocketError(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return false;
  return CODES.includes(String(error.code)) && !('path' in error);
}
