import { hash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** Begins every token, so that those who search for leaked secrets find ours. */
const PREFIX = 'hfs_';

/**
 * Of these a token consists. They can stand in a URL, in Basic credentials and in a WebSocket subprotocol, and a double
 * click selects them all.
 */
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** How many of them are random: 190 bits. */
const RANDOM_LENGTH = 32;

/** How many of them tell the checksum of what is before. */
const SUM_LENGTH = 6;

const FORM = new RegExp(`^${PREFIX}[0-9A-Za-z]{${RANDOM_LENGTH + SUM_LENGTH}}$`);

/** Makes a token that nobody can guess. */
export function makeToken(): string {
  const random = Array.from({ length: RANDOM_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]);
  const body = PREFIX + random.join('');
  return body + sumOf(body);
}

/** Whether a text may be a token: one that is mistyped or cut is not. */
export function isToken(text: string): boolean {
  return FORM.test(text) && sumOf(text.slice(0, -SUM_LENGTH)) === text.slice(-SUM_LENGTH);
}

/**
 * What is stored of a token. Without salt, and quick: it is random, so that nobody can try them all, and who asks with
 * wrong ones must cost nothing.
 */
export function hashOfToken(token: string): string {
  return `sha256:${hash('sha256', token)}`;
}

function sumOf(text: string): string {
  let rest = crc32(text);
  let digits = '';
  while (digits.length < SUM_LENGTH) {
    digits = ALPHABET.charAt(rest % ALPHABET.length) + digits;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return digits;
}
