import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

/** What `-d` or `--data-binary` says: text, or the name of a file behind `@`, `-` for standard input. */
export interface RequestData {
  text: string;
  /** Whether a file is sent as it is. Otherwise without CR, LF and NUL, as curl has it. */
  isBinary: boolean;
}

const STDIN = '@-';

const LINE_ENDS = /[\r\n\0]/g;

/** Whether it is what comes from standard input, which can be read once. */
export function isFromStdin({ text }: RequestData): boolean {
  return text === STDIN;
}

/**
 * The body of a request, all pieces with `&` between them.
 *
 * @param stdin returns this process's standard input. Not called if it is not among them: Node reads ahead from it
 * @throws the system's error when a file cannot be read
 */
export async function requestBody(
  pieces: readonly RequestData[],
  stdin: () => Readable,
): Promise<Uint8Array> {
  const bytes: Uint8Array[] = [];
  for (const piece of pieces) {
    if (bytes.length > 0) bytes.push(Buffer.from('&'));
    bytes.push(await bytesOf(piece, stdin));
  }
  return Buffer.concat(bytes);
}

async function bytesOf(piece: RequestData, stdin: () => Readable): Promise<Uint8Array> {
  const { text, isBinary } = piece;
  if (!text.startsWith('@')) return Buffer.from(text);
  const content = await (isFromStdin(piece) ? buffer(stdin()) : readFile(text.slice(1)));
  // Byte by byte: it need not be text.
  return isBinary ? content : Buffer.from(content.toString('latin1').replace(LINE_ENDS, ''), 'latin1');
}
