import type { Answer } from './request.ts';

export interface BodyPart {
  headers: Record<string, string>;
  body: Buffer;
}

/** Takes a `multipart/byteranges` answer apart, and is strict about every delimiter. */
export function partsOf({ headers, body }: Answer): BodyPart[] {
  const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(headers['content-type'] ?? '')?.[1];
  if (boundary === undefined) throw new Error(`not multipart: ${headers['content-type']}`);
  const opening = `--${boundary}\r\n`;
  const closing = `\r\n--${boundary}--\r\n`;
  const text = body.toString('latin1');
  if (!text.startsWith(opening) || !text.endsWith(closing)) throw new Error('the delimiters are wrong');
  return text
    .slice(opening.length, -closing.length)
    .split(`\r\n${opening}`)
    .map((part) => {
      const headEnd = part.indexOf('\r\n\r\n');
      const lines = part.slice(0, headEnd).split('\r\n');
      const fields = lines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 1).trim(),
      ]);
      return { headers: Object.fromEntries(fields), body: Buffer.from(part.slice(headEnd + 4), 'latin1') };
    });
}
