/** After how many seconds to come back, at least, by the code of a refusal. Not worth while after any other one. */
const SECONDS_OF_CODE: Readonly<Record<string, number>> = {
  HFS_APPEND_BUSY: 1,
  HFS_SERVER_BUSY: 4,
  HFS_SERVER_CLOSING: 1,
  HFS_STORAGE_BUSY: 1,
  HFS_TOO_MANY_REQUESTS: 4,
  HFS_UNREAD: 1,
};

/**
 * After how many seconds to come back (`Retry-After`), and up to half as much again, or a second, by chance: not all are
 * to come at the same time.
 *
 * @param code of the refusal
 * @returns undefined when it is no matter of time
 */
export function retryAfterOf(code: string): string | undefined {
  const seconds = SECONDS_OF_CODE[code];
  return seconds === undefined ? undefined : String(Math.floor(seconds + Math.random() * (1 + seconds / 2)));
}
