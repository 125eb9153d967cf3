/**
 * What to call what a URL answers: the name in its Content-Disposition
 * (RFC 6266), or else the last segment of the URL. Never a path. Undefined
 * when there is no usable name.
 */
export function remoteFileName(url: URL, contentDisposition: string | undefined): string | undefined {
  return (
    cleanName(extendedName(contentDisposition ?? '')) ??
    cleanName(plainName(contentDisposition ?? '')) ??
    cleanName(decode(url.pathname.slice(url.pathname.lastIndexOf('/') + 1)))
  );
}

const EXTENDED_NAME = /(?:^|;)\s*filename\*\s*=\s*(?<charset>utf-8|iso-8859-1)'[^']*'(?<value>[^;\s"]+)/i;
const PLAIN_NAME = /(?:^|;)\s*filename\s*=\s*(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<token>[^;\s"]+))/i;

function extendedName(header: string): string | undefined {
  const { charset, value } = EXTENDED_NAME.exec(header)?.groups ?? {};
  if (charset === undefined || value === undefined) return undefined;
  return charset.toLowerCase() === 'utf-8' ? decode(value) : decodeLatin1(value);
}

function plainName(header: string): string | undefined {
  const { quoted, token } = PLAIN_NAME.exec(header)?.groups ?? {};
  return quoted?.replace(/\\(.)/g, '$1') ?? token;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function decodeLatin1(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function cleanName(name: string | undefined): string | undefined {
  const base = name
    ?.replace(/\p{Cc}/gu, '')
    .split(/[/\\]/)
    .at(-1)
    ?.trim();
  return base === '' || base === '.' || base === '..' ? undefined : base;
}
