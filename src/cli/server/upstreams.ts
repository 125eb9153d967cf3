import { readFile } from 'node:fs/promises';
import { parseUpstream, type UpstreamSettings } from '../../relay/upstream/upstream-option.ts';
import { parseHeaders } from '../header-lines.ts';

/** A file with headers, which may be secrets. */
export interface HeaderFile {
  /** That of the upstream for which they are, as `UpstreamOption.prefix`. */
  prefix: string;
  file: string;
}

/** What is said of upstreams on the command line. */
export interface UpstreamArguments {
  upstream: readonly string[];
  upstreamHeaderFile: readonly HeaderFile[];
  /** Prefixes of those to which users' own `Authorization` is passed on. */
  upstreamAuthorization: readonly string[];
}

/**
 * The upstreams, with what is sent to them besides.
 *
 * @throws {Error} when a file cannot be read or has no headers, or something is for an upstream that there is not. It
 *   tells no value
 */
export async function upstreamsOf(given: UpstreamArguments): Promise<UpstreamSettings[]> {
  const upstreams = given.upstream.map((url) => ({ url, prefix: parseUpstream(url).prefix }));
  const named = [...given.upstreamHeaderFile.map(({ prefix }) => prefix), ...given.upstreamAuthorization];
  const unknown = named.find((name) => !upstreams.some(({ prefix }) => prefix === name));
  if (unknown !== undefined) {
    throw new Error(
      unknown === '' ? 'no upstream is for all paths' : `no upstream has the prefix ${unknown}`,
    );
  }
  return Promise.all(
    upstreams.map(async ({ url, prefix }) => ({
      url,
      headers: await headersFor(prefix, given.upstreamHeaderFile),
      passAuthorization: given.upstreamAuthorization.includes(prefix),
    })),
  );
}

/** The upstreams as the log tells them: without users and passwords. */
export function namesOf(upstreams: UpstreamArguments['upstream']): string[] {
  return upstreams.map((text) => {
    const { prefix, url } = parseUpstream(text);
    return prefix === '' ? url.href : `${prefix}=${url.href}`;
  });
}

async function headersFor(prefix: string, files: readonly HeaderFile[]): Promise<Record<string, string>> {
  const lines: string[] = [];
  for (const { file } of files.filter((one) => one.prefix === prefix)) {
    const text = await readFile(file, 'utf8');
    lines.push(...text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#')));
  }
  const parsed = parseHeaders(lines, undefined);
  if ('mistake' in parsed) throw new Error(`-upstream-header-file: ${parsed.mistake}`);
  return parsed.headers;
}
