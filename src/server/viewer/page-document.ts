import { PAGE_DATA_ID, type PageData } from '../../wire/page.ts';
import type { PageParts } from './page-files.ts';

/**
 * What a page may do: run its own scripts and styles, which are known by a number that nobody can guess and not by where
 * they come from, since files that users append come from there, too; talk to this server; show what it has read from there.
 */
export function policyOf(nonce: string): string {
  const own = `'nonce-${nonce}'`;
  return [
    "default-src 'none'",
    `script-src ${own}`,
    `style-src ${own}`,
    "connect-src 'self'",
    "img-src 'self' blob: data:",
    "media-src 'self' blob:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

/**
 * The HTML of a page. Whoever runs no scripts is led to what is shown.
 *
 * @param nonce what its policy names, see {@link policyOf}
 */
export function documentOf(data: PageData, { script, style, imports }: PageParts, nonce: string): string {
  const name = data.path.split('/').findLast((segment) => segment !== '') ?? '/';
  const link =
    style === undefined ? '' : `\n<link rel="stylesheet" nonce="${nonce}" href="${escapeHtml(style)}">`;
  const preloads = imports
    .map((url) => `\n<link rel="modulepreload" nonce="${nonce}" href="${escapeHtml(url)}">`)
    .join('');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escapeHtml(name)}</title>
<noscript><meta http-equiv="refresh" content="0; url=?raw"></noscript>${link}${preloads}
<script type="application/json" id="${PAGE_DATA_ID}">${JSON.stringify(data).replaceAll('<', '\\u003c')}</script>
<script type="module" nonce="${nonce}" src="${escapeHtml(script)}"></script>
<body>
<noscript><p><a href="?raw">${escapeHtml(data.path)}</a></noscript>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
