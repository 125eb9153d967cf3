import { InvalidUrlError } from '../wire/errors.ts';

/** Whether a URL names no resource but the place for one: its path ends in `/`. */
export function isDirectoryUrl(url: string): boolean {
  return URL.canParse(url) && new URL(url).pathname.endsWith('/');
}

/**
 * The URL to append to: the one that was typed, with the source's name when it
 * ends in `/` and the source can have a name.
 *
 * @throws {InvalidUrlError} when that name is not known
 */
export function namedTarget(url: string, source: { hasName: boolean; fileName: string | undefined }): string {
  if (!source.hasName || !isDirectoryUrl(url)) return url;
  if (source.fileName === undefined) throw new InvalidUrlError('there is no name to add: add one to the URL');
  const target = new URL(url);
  target.pathname += encodeURIComponent(source.fileName);
  return target.href;
}
