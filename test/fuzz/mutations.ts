import type { Random } from '../support/random.ts';

/** What parsers have stumbled over. */
const TOKENS = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '0\r\n\r\n',
  'ffffffffffffffff\r\n',
  '-1\r\n',
  '7fffffff\r\n',
  'GET /one.log HTTP/1.1\r\nHost: {host}\r\n\r\n',
  'Host: evil.example\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Content-Length: 0\r\n',
  'Content-Length: 18446744073709551616\r\n',
  'Connection: close\r\n',
  'Connection: upgrade\r\nUpgrade: h2c\r\n',
  'Upgrade: websocket\r\n',
  'Expect: 100-continue\r\n',
  ' HTTP/1.1',
  '%2e%2e%2f',
  '%00',
  '\u0000\u0000\u0000\u0000',
  '\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff',
  '\x88\x82\0\0\0\0\x03\xe8',
];

/** Changes bytes here and there, a few times. */
export function mutate(random: Random, bytes: Buffer): Buffer {
  let result = bytes;
  for (let count = random.integer(1, 4); count > 0; count--) result = mutateOnce(random, result);
  return result;
}

function mutateOnce(random: Random, bytes: Buffer): Buffer {
  // Heads are where it hurts, and bodies are longer.
  const end = random.chance(0.7) ? Math.min(bytes.length, 400) : bytes.length;
  const at = random.integer(0, end);
  const until = Math.min(bytes.length, at + random.logInteger(1, 300));
  const replaced = (middle: Buffer, to = until) =>
    Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(to)]);
  switch (
    random.pickWeighted({
      flip: 5,
      byte: 3,
      cut: 3,
      end: 2,
      token: 6,
      repeat: 3,
      noise: 1,
      line: 3,
      number: 3,
    })
  ) {
    case 'flip':
      return replaced(Buffer.from([(bytes[at] ?? 0) ^ (1 << random.integer(0, 7))]), at + 1);
    case 'byte':
      return replaced(Buffer.from([random.integer(0, 255)]), at + 1);
    case 'cut':
      return replaced(Buffer.alloc(0));
    case 'end':
      return bytes.subarray(0, at);
    case 'token':
      return replaced(Buffer.from(random.pick(TOKENS), 'latin1'), random.chance(0.7) ? at : until);
    case 'repeat': {
      const span = bytes.subarray(at, until);
      return replaced(Buffer.concat(Array.from({ length: random.logInteger(2, 30) }, () => span)));
    }
    case 'noise':
      return replaced(Buffer.from(Array.from({ length: until - at }, () => random.integer(0, 255))));
    case 'line':
      return changeLineEnd(random, bytes);
    case 'number':
      return changeNumber(random, bytes);
  }
}

function changeLineEnd(random: Random, bytes: Buffer): Buffer {
  const at = bytes.indexOf('\r\n', random.integer(0, Math.min(bytes.length, 300)));
  if (at < 0) return bytes;
  const lineEnd = random.pick(['\n', '\r', '', '\r\r\n', '\n\n', '\r\n ', '\r\n\r\n', '\r\n:\r\n']);
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(lineEnd), bytes.subarray(at + 2)]);
}

/** A length, a chunk's size, a range, a position. */
function changeNumber(random: Random, bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  const numbers = [...text.slice(0, 2000).matchAll(/\d+/g)];
  if (numbers.length === 0) return bytes;
  const { 0: number, index } = random.pick(numbers);
  const other = random.pick([
    '0',
    '1',
    '-1',
    `${number}0`,
    `0${number}`,
    '4294967296',
    '9007199254740991',
    '9007199254740993',
    '1e9',
    '',
  ]);
  return Buffer.from(text.slice(0, index) + other + text.slice(index + number.length), 'latin1');
}
