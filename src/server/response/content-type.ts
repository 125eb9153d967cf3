import path from 'node:path';
import mimeTypes from 'mime-types';
import { type OpenFile, TYPE_BYTES } from '../../core/open-file.ts';

// What the WHATWG MIME Sniffing Standard calls binary data bytes; ESC is not
// among them, so that a log with colours is text.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const BINARY_DATA = /[\u0000-\u0008\u000b\u000e-\u001a\u001c-\u001f]/;

/** By extension: of those that there are, which is what bounds it. */
const known = new Map<string, string>();

/** The Content-Type that a file's extension implies, if any. */
export function contentTypeOfName(name: string): string | undefined {
  const extension = path.extname(name).toLowerCase();
  const type = known.get(extension) ?? (mimeTypes.contentType(extension) || undefined);
  if (type !== undefined) known.set(extension, type);
  return type;
}

/** Whether a file is text, by its first bytes. */
export function isText(head: Buffer): boolean {
  return !BINARY_DATA.test(head.toString('latin1', 0, TYPE_BYTES));
}

/** The Content-Type that was given to a file, or else that its name in the URL implies, if any. */
export function knownContentType(given: string | undefined, name: string): string | undefined {
  return given ?? contentTypeOfName(name);
}

/**
 * The Content-Type of a file: as it was given, or else as its name says, or else its first bytes.
 *
 * @param given type that it was made as a stream of, or that an append has given it
 * @param name of the file in the URL
 * @param size how many bytes of it count
 */
export function contentTypeOf(given: string | undefined, name: string, file: OpenFile, size: number): string {
  const known = knownContentType(given, name);
  return known ?? contentTypeOfBytes(headOf(file, size));
}

/** A file's first bytes, as many as tell its type. @param size how many bytes of it count */
export function headOf(file: OpenFile, size: number): Buffer {
  return file.readInLine(0, Math.min(size, TYPE_BYTES));
}

/** The Content-Type of a file whose name implies none, by its first bytes. */
function contentTypeOfBytes(head: Buffer): string {
  return isText(head) ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}
