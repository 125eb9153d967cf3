import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { temporaryDirectory } from '../support/server/server.ts';

/** The first name of what the system has, to see whether it gets out. */
const SYSTEM_SECRET = 'root:x:0:0:';

/** What the operator has put into the root for everybody to try. */
export const OPERATOR_NAMES = ['out', 'out.txt', 'dangling', 'loop', 'pipe', 'inside.txt'];

/** What may lie in the server's own directory. */
const OWN_NAMES = [
  'aside',
  'identity',
  'incoming',
  'lock',
  'records',
  'redo',
  'redo.spare',
  'redo.spare-2',
  'reserve',
];

/**
 * A directory tree with a root for the server in it, and beside the root, in the
 * server's own directory and behind symlinks that lead out of it secrets that it
 * must never give away.
 */
export class Ground {
  readonly root: string;
  /** A directory in the root of which nobody but the healthy clients knows the name. */
  readonly privateName = `private-${randomBytes(12).toString('hex')}`;
  /** What no answer may have in it. */
  readonly needles: readonly string[];
  readonly #base: string;
  readonly #outside: string;
  readonly #known: string;

  private constructor(base: string, secret: string) {
    this.#base = base;
    this.root = path.join(base, 'root');
    this.needles = [SYSTEM_SECRET, secret, ...base64Spellings(secret)];
    layOut(base, this.root, secret);
    mkdirSync(path.join(this.root, this.privateName));
    writeFileSync(path.join(this.root, this.privateName, 'small.txt'), 'known bytes\n'.repeat(20));
    writeFileSync(path.join(this.root, this.privateName, 'large.bin'), randomBytes(300_000));
    this.#outside = this.#describeOutside();
    this.#known = this.#describeKnown();
  }

  static async make(): Promise<Ground> {
    const secret = randomBytes(12).toString('hex');
    // No answer names a path of the server's machine, either.
    const base = path.join(await temporaryDirectory(), secret);
    mkdirSync(base);
    return new Ground(base, secret);
  }

  /** What is not as it must be: a line for each. `hasBeenNamed` tells whether a client has said a name. */
  faults(hasBeenNamed: (name: string) => boolean): string[] {
    const faults: string[] = [];
    const outside = this.#describeOutside();
    if (outside !== this.#outside) faults.push(`outside the root:\n${difference(this.#outside, outside)}`);
    const known = this.#describeKnown();
    if (known !== this.#known) faults.push(`files that nobody wrote to:\n${difference(this.#known, known)}`);
    for (const name of readdirSync(path.join(this.root, '.httpfstream'))) {
      if (!OWN_NAMES.includes(name)) faults.push(`in the server's own directory: ${name}`);
    }
    const given = new Set([...OPERATOR_NAMES, 'in', this.privateName, '.httpfstream']);
    for (const { name, parentPath } of readdirSync(this.root, { recursive: true, withFileTypes: true })) {
      const place = path.relative(this.root, parentPath);
      // Some versions of Node follow the operator's symlinks, out of the root.
      if (realpathSync(parentPath) !== path.join(realpathSync(this.root), place)) continue;
      const isOurs = [this.privateName, '.httpfstream'].includes(place.split(path.sep)[0] as string);
      if (isOurs || (place === '' && given.has(name)) || hasBeenNamed(name)) continue;
      faults.push(`in the root, and nobody has named it: ${JSON.stringify(path.join(place, name))}`);
    }
    return faults;
  }

  #describeOutside(): string {
    return describeTree(this.#base, (name) => name !== this.root);
  }

  #describeKnown(): string {
    const known = ['small.txt', 'large.bin'];
    const directory = path.join(this.root, this.privateName);
    return [
      ...known.map((name) => describeFile(path.join(directory, name))),
      describeTree(
        path.join(this.root, '.httpfstream', 'aside'),
        (name) => path.basename(name) === 'secret.txt',
      ),
    ].join('\n');
  }
}

function layOut(base: string, root: string, secret: string): void {
  const secrets = `${secret}\n`.repeat(2000);
  const outside = path.join(base, 'beside', 'deep');
  const aside = path.join(root, '.httpfstream', 'aside');
  for (const directory of [outside, aside, path.join(root, 'in')]) mkdirSync(directory, { recursive: true });
  const files = [
    path.join(base, 'secret.txt'),
    path.join(base, 'one.log'),
    path.join(base, 'beside', 'secret.txt'),
    path.join(base, 'beside', `name-${secret}`),
    path.join(outside, 'secret.txt'),
    path.join(outside, 'one.log'),
    path.join(aside, 'secret.txt'),
  ];
  for (const file of files) writeFileSync(file, secrets);
  writeFileSync(path.join(root, 'in', 'five'), 'inside\n');
  symlinkSync('../beside', path.join(root, 'out'));
  symlinkSync('../secret.txt', path.join(root, 'out.txt'));
  symlinkSync(path.join('..', `made-${secret}`), path.join(root, 'dangling'));
  symlinkSync('loop', path.join(root, 'loop'));
  symlinkSync('in/five', path.join(root, 'inside.txt'));
  // Whoever opens it as a file waits for ever.
  execFileSync('mkfifo', [path.join(root, 'pipe')]);
}

/** How bytes look in base64 whatever comes before them, without the characters that depend on that. */
function base64Spellings(text: string): string[] {
  return [0, 1, 2].map((before) => {
    const spelling = Buffer.from('.'.repeat(before) + text).toString('base64');
    return spelling.slice(before === 0 ? 0 : 4, -4);
  });
}

function describeTree(directory: string, wanted: (name: string) => boolean): string {
  const lines: string[] = [];
  const visit = (name: string) => {
    if (!wanted(name) && name !== directory) return;
    lines.push(describeFile(name));
    if (lstatSync(name).isDirectory()) {
      for (const child of readdirSync(name).sort()) visit(path.join(name, child));
    }
  };
  visit(directory);
  return lines.join('\n');
}

function describeFile(name: string): string {
  const status = lstatSync(name);
  const mode = status.mode.toString(8);
  if (status.isSymbolicLink()) return `${name} ${mode} -> ${readlinkSync(name)}`;
  if (!status.isFile()) return `${name} ${mode}`;
  return `${name} ${mode} ${createHash('sha256').update(readFileSync(name)).digest('hex')}`;
}

function difference(before: string, after: string): string {
  const were = new Set(before.split('\n'));
  const are = new Set(after.split('\n'));
  return [
    ...[...were].filter((line) => !are.has(line)).map((line) => `    was ${line}`),
    ...[...are].filter((line) => !were.has(line)).map((line) => `    is  ${line}`),
  ].join('\n');
}
