import { execFileSync } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeEntry } from '../../../src/storage/journal/entry.ts';
import { diskDirectory } from '../server/server.ts';
import { RESERVED } from './root-files.ts';

const FIXTURES = fileURLToPath(new URL('../../fixtures/', import.meta.url));

/** Bytes before the body of a record in a log, and the one bit of them that makes it void. */
const PREFIX_BYTES = 8;
const VOID_FLAG = 0x8000_0000;

/** Which file it is, as the server writes it down. */
export async function fingerprintOf(name: string): Promise<string> {
  const { ino, birthtimeNs } = await stat(name, { bigint: true });
  return `${ino}-${BigInt.asUintN(53, birthtimeNs / 1000n)}`;
}

/**
 * A root that an earlier version has written, extracted for the time of the test. Wherever the server
 * has written down which file it means, that is the extracted one now.
 *
 * @param fixture path of the tar file below `test/fixtures/`
 */
export async function restoredRoot(fixture: string): Promise<string> {
  const directory = await diskDirectory();
  // Of what is dated in the future it tells, which some of it is.
  execFileSync('tar', ['-xzf', path.join(FIXTURES, fixture), '-C', directory], { stdio: 'ignore' });
  const root = path.join(directory, 'root');
  const before: Record<string, string> = JSON.parse(
    await readFile(path.join(directory, 'fingerprints.json'), 'utf8'),
  );
  const after = new Map<string, string>();
  for (const [name, fingerprint] of Object.entries(before)) {
    after.set(fingerprint, await fingerprintOf(path.join(root, name)));
  }
  for (const name of await filesIn(path.join(root, RESERVED))) await identify(name, after);
  return root;
}

async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => path.join(parentPath, name));
}

/** Rewrites one of the server's own files, in its bytes and its name. It keeps its time. */
async function identify(name: string, after: ReadonlyMap<string, string>): Promise<void> {
  const { atimeMs, mtimeMs } = await lstat(name);
  const bytes = await readFile(name);
  const target = renamed(name, after);
  const isLog = name.endsWith('.log');
  await unlink(name);
  await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
  const temporary = `${target}.new`;
  await writeFile(temporary, isLog ? rewrittenLog(bytes, after) : rewrittenText(bytes, after), {
    mode: 0o600,
  });
  await utimes(temporary, atimeMs / 1000, mtimeMs / 1000);
  await rename(temporary, target);
}

/** Sidecars lie in directories that are called as their fingerprints end. */
function renamed(name: string, after: ReadonlyMap<string, string>): string {
  const { dir, name: label, ext } = path.parse(name);
  const fingerprint = after.get(label);
  if (fingerprint === undefined) return name;
  const isSidecar = path.basename(path.dirname(dir)) === 'meta';
  return path.join(
    isSidecar ? path.dirname(dir) : dir,
    isSidecar ? fingerprint.slice(-2) : '',
    `${fingerprint}${ext}`,
  );
}

function rewrittenText(bytes: Buffer, after: ReadonlyMap<string, string>): string {
  return bytes.toString().replace(/"(\d+-\d+)"/g, (text, fingerprint: string) => {
    return JSON.stringify(after.get(fingerprint)) ?? text;
  });
}

/** Record by record, each with a new checksum; what is torn stays as it is. */
function rewrittenLog(log: Buffer, after: ReadonlyMap<string, string>): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  while (at + PREFIX_BYTES + 4 <= log.length) {
    const length = log.readUInt32LE(at) % VOID_FLAG;
    const isVoid = log.readUInt32LE(at) >= VOID_FLAG;
    const body = log.subarray(at + PREFIX_BYTES, at + PREFIX_BYTES + length);
    if (length < 4 || body.length < length) break;
    const headerEnd = 4 + body.readUInt32LE(0);
    const header = JSON.parse(body.toString('utf8', 4, headerEnd));
    const file = after.get(header.file) ?? header.file;
    const [head, ...rest] = encodeEntry({ ...header, file }, [body.subarray(headerEnd)]).map((part) =>
      Buffer.from(part),
    );
    if (isVoid) head!.writeUInt32LE(head!.readUInt32LE(0) + VOID_FLAG, 0);
    parts.push(head!, ...rest);
    at += PREFIX_BYTES + length;
  }
  return Buffer.concat([...parts, log.subarray(at)]);
}
