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

/**
 * Whether an error is what became of a connection: a call of the system failed
 * that was about no file. Of one that cannot be accepted the code says nothing: the system is short of something.
 */
export function isSocketError(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return false;
  if (error.syscall === 'accept') return true;
  return CODES.includes(String(error.code)) && !('path' in error);
}
