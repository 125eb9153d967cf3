import { MAX_COPY_BYTES } from './copy-limit.ts';
import { fetchWithToken } from './fetch-with-token.ts';

/** By then a browser has taken over what it is to save, in milliseconds. */
const SAVED_AFTER_MS = 60_000;

/** It is larger than a page loads. */
class TooLargeError extends Error {
  override readonly name = 'TooLargeError';

  constructor() {
    super('it is larger than 256 MiB');
  }
}

/**
 * Reads all of a resource with the tab's token: elements and links of a page send none.
 *
 * @throws {Error} when it has more than {@link MAX_COPY_BYTES}, the server refuses, or cannot be reached
 */
export async function readWithToken(url: string): Promise<Blob> {
  const answer = await fetchWithToken(url);
  if (!answer.ok || Number(answer.headers.get('content-length')) > MAX_COPY_BYTES) {
    await answer.body?.cancel();
    throw answer.ok ? new TooLargeError() : new Error(`the server answered ${answer.status}`);
  }
  return answer.blob();
}

/** Saves a resource that is read with the tab's token, as a link with `download` would. Throws as {@link readWithToken}. */
export async function saveWithToken(url: string, name: string): Promise<void> {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await readWithToken(url));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), SAVED_AFTER_MS);
}
