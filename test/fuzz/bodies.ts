import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import type { Random } from '../support/random.ts';

/** A body as it goes over the wire, and the header lines that say so. */
export interface Body {
  headers: string[];
  bytes: Buffer;
}

/** Lines without a slash or a space: nothing of a body is to look like a path, see {@link Names}. */
const LINE = 'All_work_and_no_play_makes_Jack_a_dull_boy._0123456789\n';

/** Small on the wire, and large after it. */
const BOMBS = [
  gzipSync(Buffer.alloc(4 * 1024 * 1024)),
  gzipSync(Buffer.from(`[${'0,'.repeat(500_000)}0]`)),
  gzipSync(gzipSync(Buffer.alloc(8 * 1024 * 1024))),
  brotliCompressSync(Buffer.alloc(8 * 1024 * 1024), { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
];

/** Content that means nothing. Mostly short. */
export function plainContent(random: Random): Buffer {
  switch (random.pickWeighted({ line: 60, nothing: 10, bytes: 30, large: 4 })) {
    case 'line':
      return Buffer.from(LINE.slice(random.integer(0, LINE.length - 1)).repeat(random.integer(1, 4)));
    case 'nothing':
      return Buffer.alloc(0);
    case 'bytes':
      return letters(random, random.logInteger(1, 3000));
    case 'large':
      return Buffer.from(LINE.repeat(random.logInteger(50, 5000)));
  }
}

/** JSON, and what is nearly so. */
export function jsonContent(random: Random): Buffer {
  switch (random.pickWeighted({ values: 10, deep: 1, many: 1, broken: 3 })) {
    case 'values':
      return Buffer.from(
        JSON.stringify(Array.from({ length: random.integer(0, 5) }, () => jsonValue(random, 3))),
      );
    case 'deep': {
      const depth = random.logInteger(10, 20_000);
      return Buffer.from('['.repeat(depth) + ']'.repeat(random.chance(0.7) ? depth : depth - 1));
    }
    case 'many':
      return Buffer.from(
        `[${`${random.pick(['0', '""', '[]', '{}', '1e999'])},`.repeat(random.logInteger(10, 50_000))}0]`,
      );
    case 'broken':
      return Buffer.from(
        random.pick([
          '{',
          '[1,]',
          '"\\ud800"',
          '"\x00"',
          'nul',
          '01',
          '{"a":1,"a":2}',
          '\ufeff1',
          '[1]\n[2]',
          '"\xff"',
          '',
        ]),
        'latin1',
      );
  }
}

function jsonValue(random: Random, depth: number): unknown {
  switch (random.pickWeighted({ number: 3, text: 3, word: 2, list: depth, object: depth })) {
    case 'number':
      return random.pick([0, -0, 1, 1e300, -1.5e-9, 2 ** 53, random.integer(0, 1000)]);
    case 'text':
      return random.pick(['', 'text', '\u2028', '\ud83d\udc08', '"\\', '\r\n', 'x'.repeat(500)]);
    case 'word':
      return random.pick([true, false, null]);
    case 'list':
      return Array.from({ length: random.integer(0, 3) }, () => jsonValue(random, depth - 1));
    case 'object':
      return Object.fromEntries(
        Array.from({ length: random.integer(0, 3) }, (_, i) => [`key${i}`, jsonValue(random, depth - 1)]),
      );
  }
}

/** Names of the files of forms. */
export const FILE_NAMES = [
  'part1.txt',
  'part2.txt',
  'part3.txt',
  'one.log',
  '..',
  '../secret.txt',
  '..\\secret.txt',
  '.httpfstream',
  'out.txt',
  'dangling',
  'pipe',
  '',
  '\0',
  '%2e%2e',
  'z'.repeat(300),
  'ü.txt',
  'a"b',
];

/** A form with files, and what is nearly one. Its header line goes with it. */
export function formContent(random: Random): { header: string; content: Buffer } {
  const boundary = random.pick(['x', '----WebKitFormBoundaryAbCdEf', 'a b', '', 'y'.repeat(100)]);
  const parts = Array.from({ length: random.integer(0, 4) }, () => {
    const name = random.pick(FILE_NAMES);
    const disposition = random.pick([
      `Content-Disposition: form-data; name="file"; filename="${name}"`,
      `Content-Disposition: form-data; name="file"; filename*=UTF-8''${encodeURIComponent(name)}`,
      `Content-Disposition: form-data; name="field"`,
      'Content-Disposition: attachment',
      'X-Nothing: 1',
    ]);
    return Buffer.concat([
      Buffer.from(
        `--${boundary}\r\n${disposition}\r\n${random.pick(['', 'Content-Type: text/plain\r\n'])}\r\n`,
      ),
      plainContent(random),
      Buffer.from('\r\n'),
    ]);
  });
  const end = Buffer.from(random.chance(0.85) ? `--${boundary}--\r\n` : '');
  return {
    header: `Content-Type: multipart/form-data; boundary=${random.chance(0.3) ? `"${boundary}"` : boundary}`,
    content: Buffer.concat([...parts, end]),
  };
}

/** Puts a body on the wire: encoded or not, with its length or in chunks, mostly rightly so. */
export function bodyOf(random: Random, content: Buffer, { canBeEncoded = true } = {}): Body {
  const encoded = canBeEncoded ? encode(random, content) : { headers: [], bytes: content };
  const framed = frame(random, encoded.bytes);
  return { headers: [...encoded.headers, ...framed.headers], bytes: framed.bytes };
}

function encode(random: Random, content: Buffer): Body {
  const kind = random.pickWeighted({ none: 40, gzip: 4, twice: 1, deflate: 2, br: 2, other: 1, bomb: 0.4 });
  const header = (encoding: string) => [`Content-Encoding: ${encoding}`];
  switch (kind) {
    case 'none':
      return { headers: [], bytes: content };
    case 'gzip':
      return {
        headers: header(random.pick(['gzip', 'x-gzip', 'GZIP'])),
        bytes: gzipSync(content, { level: 1 }),
      };
    case 'twice':
      return { headers: header(random.pick(['gzip, gzip', 'gzip'])), bytes: gzipSync(gzipSync(content)) };
    case 'deflate':
      return {
        headers: header('deflate'),
        bytes: random.chance(0.5) ? deflateSync(content) : deflateRawSync(content),
      };
    case 'br':
      return {
        headers: header('br'),
        bytes: brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
      };
    case 'other':
      return {
        headers: header(random.pick(['identity', 'zstd', 'compress', '', 'gzip;q=1', ','])),
        bytes: content,
      };
    case 'bomb':
      return { headers: header(random.pick(['gzip', 'br', 'gzip, gzip'])), bytes: random.pick(BOMBS) };
  }
}

function frame(random: Random, bytes: Buffer): Body {
  switch (random.pickWeighted({ length: 50, chunks: 35, both: 1, wrong: 3, none: 3 })) {
    case 'length':
      return { headers: [`Content-Length: ${bytes.length}`], bytes };
    case 'chunks':
      return {
        headers: [
          `Transfer-Encoding: ${random.pickWeighted({ chunked: 30, Chunked: 3, 'chunked, chunked': 1, 'gzip, chunked': 1 })}`,
        ],
        bytes: chunked(random, bytes),
      };
    case 'both':
      return {
        headers: [`Content-Length: ${random.integer(0, bytes.length)}`, 'Transfer-Encoding: chunked'],
        bytes: chunked(random, bytes),
      };
    case 'wrong': {
      const length = random.pick([
        bytes.length + random.integer(1, 1000),
        Math.max(0, bytes.length - 1),
        20_000_000,
        '9007199254740993',
        '-1',
        '1e3',
        '0x10',
        '1, 1',
        '',
      ]);
      return { headers: [`Content-Length: ${length}`], bytes };
    }
    case 'none':
      return { headers: [], bytes };
  }
}

function chunked(random: Random, bytes: Buffer): Buffer {
  const pieces: Buffer[] = [];
  const largest = random.chance(0.1) && bytes.length < 2000 ? 1 : Math.max(1, random.logInteger(1, 60_000));
  for (let start = 0; start < bytes.length; ) {
    const size = Math.min(bytes.length - start, random.integer(1, largest), 65_536);
    const extension = random.chance(0.05) ? `;${'e'.repeat(random.logInteger(1, 300))}=1` : '';
    pieces.push(
      Buffer.from(`${size.toString(16)}${extension}\r\n`),
      bytes.subarray(start, start + size),
      Buffer.from('\r\n'),
    );
    start += size;
  }
  pieces.push(
    Buffer.from(
      random.pick(['0\r\n\r\n', '0\r\n\r\n', '0\r\n\r\n', '000\r\nX-Trailer: 1\r\n\r\n', '0\r\n', '']),
    ),
  );
  return Buffer.concat(pieces);
}

function letters(random: Random, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) {
    const byte = random.integer(0, 255);
    bytes[i] = byte === 0x2f || byte === 0x20 ? 0 : byte;
  }
  return bytes;
}
