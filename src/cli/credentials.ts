import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { isSendable, TOKEN_MISTAKE } from '../client/session/token.ts';

/** Gives a token before each request: it may be another one by then. */
export type TokenFunction = () => string | Promise<string>;

/** What a server is sent with each request, and no other server. */
export interface Credentials {
  headers: Readonly<Record<string, string>>;
  token?: TokenFunction | undefined;
}

/** Reads a file with a token and nothing else, each time anew: mounted ones are replaced. */
export function tokenIn(file: string): TokenFunction {
  return async () => {
    const token = (await readFile(file, 'utf8')).trim();
    if (!isSendable(token)) throw new Error(`${file}: ${TOKEN_MISTAKE}`);
    return token;
  };
}

/**
 * The token for a server that the user has noted, read each time anew; undefined when there is none.
 *
 * @param url of which the scheme, the host and the port count
 * @throws {Error} when others may read the file, or it is malformed
 */
export function storedToken(url: URL): TokenFunction | undefined {
  const file = credentialsFile();
  const origin = originOf(url);
  if (tokenOf(origin, file) === undefined) return undefined;
  return () => {
    const token = tokenOf(origin, file);
    if (token === undefined) throw new Error(`${file} has no token for ${origin} any more`);
    return token;
  };
}

function credentialsFile(): string {
  const { XDG_CONFIG_HOME: configured = '' } = process.env;
  // A relative one is to be ignored, says the specification.
  const directory = path.isAbsolute(configured) ? configured : path.join(os.homedir(), '.config');
  return path.join(directory, 'httpfstream', 'credentials');
}

/** Scheme, host and port of a server. */
export function originOf({ protocol, host }: URL): string {
  return new URL(`${protocol.replace('ws', 'http')}//${host}`).origin;
}

function tokenOf(wanted: string, file: string): string | undefined {
  for (const [i, line] of linesOf(file).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [origin = '', token = '', ...others] = line.trim().split(/\s+/);
    const isOrigin = /^https?:\/\//i.test(origin) && URL.canParse(origin) && new URL(origin).pathname === '/';
    if (!isOrigin || !isSendable(token) || others.length > 0) {
      throw new Error(`${file}:${i + 1}: a line must look like "https://logs.example.com TOKEN"`);
    }
    if (originOf(new URL(origin)) === wanted) return token;
  }
  return undefined;
}

/** No lines when there is no such file, or none for this user: another one's home may be what the environment names. */
function linesOf(file: string): string[] {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(String((error as NodeJS.ErrnoException).code))) return [];
    throw error;
  }
  try {
    const { mode, uid } = fstatSync(fd);
    const user = process.geteuid?.();
    if (user !== undefined && (uid !== user || (mode & 0o077) !== 0)) {
      throw new Error(`${file} must be yours, and for nobody else: chmod 600 ${file}`);
    }
    return readFileSync(fd, 'utf8').split('\n');
  } finally {
    closeSync(fd);
  }
}
