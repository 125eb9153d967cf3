import { decodeExtended, parse } from 'content-disposition';

/**
 * The file name of what a URL answers: the name in its Content-Disposition
 * (RFC 6266), or else the last segment of the URL. Never a path. Undefined
 * when there is no usable name.
 */
export function remoteFileName(url: URL, contentDisposition: string | null): string | undefined {
  const { parameters } = parse(contentDisposition ?? '', { extended: false });
  return (
    cleanName(decodeExtended(parameters['filename*'] ?? '')) ??
    cleanName(parameters.filename) ??
    cleanName(decode(url.pathname.slice(url.pathname.lastIndexOf('/') + 1)))
  );
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function cleanName(name: string | undefined): string | undefined {
  const base = name
    ?.replace(/\p{Cc}/gu, '')
    .split(/[/\\]/)
    .at(-1)
    ?.trim();
  return base === '' || base === '.' || base === '..' ? undefined : base;
}
