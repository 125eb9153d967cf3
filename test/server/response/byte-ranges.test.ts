import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contentRange, multipartBody, rangesFor } from '../../../src/server/response/byte-ranges.ts';
import { LastModified } from '../../../src/server/response/last-modified.ts';

const DAY_MS = 86_400_000;
const LAST_MODIFIED = new LastModified(Date.UTC(2026, 0, 1), true, Date.UTC(2026, 0, 1) + DAY_MS);
const ETAG = '"a"';

/** What one part of a `Range` header asks for. */
interface Spec {
  text: string;
  /** Whether a byte is among it. */
  has: (at: number, size: number) => boolean;
}

const anySpec: fc.Arbitrary<Spec> = fc.oneof(
  fc.tuple(fc.nat(30), fc.nat(30)).map(([first, more]) => ({
    text: `${first}-${first + more}`,
    has: (at: number) => at >= first && at <= first + more,
  })),
  fc.nat(30).map((first) => ({ text: `${first}-`, has: (at: number) => at >= first })),
  fc.nat(40).map((count) => ({ text: `-${count}`, has: (at: number, size: number) => at >= size - count })),
);

const answerTo = (range: string, size: number, ifRange?: string) =>
  rangesFor({ range, ...(ifRange !== undefined && { 'if-range': ifRange }) }, size, ETAG, LAST_MODIFIED);

describe('ranges', () => {
  test('have the bytes that were asked for and that there are, each once', () => {
    fc.assert(
      fc.property(
        fc.array(anySpec, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 25 }),
        (specs, size) => {
          const answer = answerTo(`bytes=${specs.map(({ text }) => text).join(', ')}`, size);
          const wanted = Array.from({ length: size }, (_, at) => specs.some(({ has }) => has(at, size)));
          const counts = wanted.map(() => 0);
          expect(answer.kind).toBe(wanted.includes(true) ? 'partial' : 'unsatisfiable');
          for (const { start, end } of answer.kind === 'partial' ? answer.ranges : []) {
            expect(start < end && start >= 0 && end <= size).toBe(true);
            for (let at = start; at < end; at++) counts[at] = (counts[at] as number) + 1;
          }
          expect(counts).toEqual(wanted.map(Number));
        },
      ),
    );
  });

  test.each([
    ['of an empty file', 'bytes=0-5', 0, undefined],
    ['in another unit', 'lines=0-5', 10, undefined],
    ['that are malformed', 'bytes=a-b', 10, undefined],
    ['of another state', 'bytes=0-5', 10, '"b"'],
    ['of another date', 'bytes=0-5', 10, 'Thu, 01 Jan 1970 00:00:00 GMT'],
    [
      'that are more than a hundred',
      `bytes=${Array.from({ length: 101 }, (_, i) => `${2 * i}-${2 * i}`)}`,
      1000,
      undefined,
    ],
  ])('%s are answered with all', (_what, range, size, ifRange) => {
    expect(answerTo(range, size, ifRange)).toEqual({ kind: 'whole' });
  });

  test.each([[undefined], [ETAG], [LAST_MODIFIED.header]])('of this state (%s) are sent', (ifRange) => {
    const ranges = [{ start: 0, end: 6 }];
    expect(answerTo('bytes=0-5', 10, ifRange)).toEqual({ kind: 'partial', ranges });
  });

  test('several are one body, as long as it says', () => {
    const ranges = [
      { start: 0, end: 2 },
      { start: 5, end: 9 },
    ];
    const { contentType, contentLength, pieces } = multipartBody(ranges, 10, 'text/plain');
    const [, boundary] = /^multipart\/byteranges; boundary=(.+)$/.exec(contentType) ?? [];
    const file = Buffer.from('0123456789');
    const body = Buffer.concat(
      pieces.map((piece) => (Buffer.isBuffer(piece) ? piece : file.subarray(piece.start, piece.end))),
    );
    const part = (range: { start: number; end: number }, bytes: string) =>
      `--${boundary}\r\nContent-Type: text/plain\r\nContent-Range: ${contentRange(range, 10)}\r\n\r\n${bytes}\r\n`;
    expect(body.toString()).toBe(
      `${part({ start: 0, end: 2 }, '01')}${part({ start: 5, end: 9 }, '5678')}--${boundary}--\r\n`,
    );
    expect(contentLength).toBe(body.length);
  });
});
