import type { Random } from '../support/random.ts';
import { OPERATOR_NAMES } from './ground.ts';

/** Names that clients use who mean well. Few, so that they meet each other. */
const DIRECTORIES = ['/', '/', '/', '/logs/', '/builds/', '/a/b/c/', '/forms/', '/in/'];
const NAMES = [
  'one.log',
  'two.txt',
  'three.bin',
  'four.json',
  'five',
  'six.html',
  'seven',
  'u%CC%88ml%C3%A4ut',
  'a%20b.txt',
];

/** What the operator has put into the root, see {@link Ground}, and what lies beside it. */
const OPERATOR = [...OPERATOR_NAMES, 'secret.txt', 'beside', 'deep', 'root'];

/** The server's own, in many spellings. */
const RESERVED = [
  '.httpfstream',
  '%2ehttpfstream',
  '.httpfstream%2faside',
  '.HTTPFSTREAM',
  '.httpfstream.',
  '.%68ttpfstream',
  'aside',
  'records',
  'redo',
  'incoming',
  'reserve',
  'identity',
  'lock',
  '__ds',
  'subscriptions',
];

/** Ways up, and what some server or other has taken for one. */
const UP = [
  '..',
  '..',
  '..',
  '%2e%2e',
  '.%2E',
  '..%2f',
  '..%2f..',
  '%2f..',
  '%2e%2e%2f',
  '..%5c',
  '..\\',
  '\\..\\..',
  '%252e%252e',
  '..%252f',
  '%c0%ae%c0%ae',
  '%e0%80%ae%e0%80%ae',
  '..;',
  '...',
  '....',
  '.. ',
  '..%20',
  '..%00',
  '..%0a',
  '.',
  '%2e',
  '',
];

const STRANGE = [
  '%00',
  'a%00.txt',
  '%0d%0aX-Injected:%20yes',
  '%7f',
  '%ff',
  '%c3%28',
  '%f0%9f%90%88',
  '\u00c3\u00a4',
  '%ed%a0%80',
  '%e2%80%ae',
  '%zz',
  '%',
  '%2',
  '%u002e',
  '*',
  '~',
  '+',
  ';v=1',
  '#',
  '&',
  '"',
  '<script>',
  "'",
  '$(id)',
  'nul',
  '%2f%2f',
  '%5c',
  'etc',
  'passwd',
  'proc',
  'self',
  'x'.repeat(255),
  'x'.repeat(256),
  '%41'.repeat(200),
  '%c3%a4'.repeat(128),
];

/** The shortest ways to a secret, one for each hole that there could be. */
const HOLES = [
  '/out.txt',
  '/out/secret.txt',
  '/out/deep/one.log',
  '/out/',
  '/dangling',
  '/in/../../secret.txt',
  '/out/../secret.txt',
  '/../secret.txt',
  '/%2e%2e/secret.txt',
  '/..%2fsecret.txt',
  '/..%5csecret.txt',
  '/..\\secret.txt',
  '/%252e%252e/secret.txt',
  '/..%252fsecret.txt',
  '//../secret.txt',
  '/%2f../secret.txt',
  '/%00/../../secret.txt',
  '/.httpfstream/',
  '/.httpfstream/aside/',
  '/.httpfstream/aside/secret.txt',
  '/%2ehttpfstream/aside/secret.txt',
  '/.HTTPFSTREAM/aside/secret.txt',
  '/in/../.httpfstream/aside/secret.txt',
  '/in/%2e%2e/.httpfstream%2faside%2fsecret.txt',
  '/pipe',
  '/loop',
  '/inside.txt',
];

const SEGMENTS = { up: UP, operator: OPERATOR, reserved: RESERVED, names: NAMES, strange: STRANGE };

/** The path of a request of somebody who means well, escaped. */
export function plainPath(random: Random): string {
  return `${random.pick(DIRECTORIES)}${random.pick(NAMES)}`;
}

/** The path of a directory, with the slash at its end. */
export function directoryPath(random: Random): string {
  return random.pick(DIRECTORIES);
}

/** A request target that is meant to lead where it must not. */
export function hostileTarget(random: Random): string {
  const path = `/${hostileSegments(random).join('/')}${random.chance(0.2) ? '/' : ''}`;
  switch (
    random.pickWeighted({ hole: 20, path: 25, absolute: 4, doubled: 2, bare: 1, deep: 1, long: 1, other: 1 })
  ) {
    case 'hole':
      return random.pick(HOLES);
    case 'path':
      return path;
    case 'absolute':
      return `${random.pick(['http', 'https', 'HTTP', 'file', 'ws'])}://${random.pick(['{host}', 'evil.example', '', 'me:secret@{host}'])}${path}`;
    case 'doubled':
      return `//${random.pick(['evil.example', '..', '{host}'])}${path}`;
    case 'bare':
      return path.slice(1);
    case 'deep':
      return `/${`${random.pick(['a', '..', '.', '', '%2e%2e', 'out'])}/`.repeat(random.logInteger(2, 1500))}secret.txt`;
    case 'long':
      return `/${'y'.repeat(random.logInteger(100, 9000))}`;
    case 'other':
      return random.pick(['*', '{host}', 'file:///etc/passwd', '/%', '?', '#', '/?', '/?/../..']);
  }
}

function hostileSegments(random: Random): string[] {
  return Array.from({ length: random.integer(1, 7) }, () =>
    random.pick(SEGMENTS[random.pickWeighted({ up: 8, operator: 6, reserved: 4, names: 3, strange: 4 })]),
  );
}
