import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FeedRegistry } from '../core/feed-registry.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';
import { preferredType } from './preferred-type.ts';

/** A listing stops after this many names, and says so. */
const MAX_ENTRIES = 10_000;

/** The page needs nothing but its own style, and nobody else may show it. */
const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** One line of a listing, as its JSON form has it. */
export interface ListedEntry {
  name: string;
  type: 'file' | 'directory';
  /** Bytes; the committed ones while somebody appends. Files only. */
  size?: number;
  /** Time of the last change, ISO 8601. */
  modified: string;
  /** Whether somebody appends to it now. */
  live: boolean;
}

/** Whether the client prefers the JSON form of a listing. */
export function wantsJson(request: FastifyRequest): boolean {
  return preferredType(request, ['html', 'json']) === 'json';
}

/** Answers with what is in a directory: a page for browsers, JSON for those who ask for it. */
export async function sendListing(
  request: FastifyRequest,
  reply: FastifyReply,
  resource: ResourcePath,
  root: Root,
  registry: FeedRegistry,
): Promise<FastifyReply> {
  const entries: ListedEntry[] = [];
  let truncated = false;
  for await (const { name, kind, identity, size, mtimeNs } of root.list(resource)) {
    if (entries.length === MAX_ENTRIES) {
      truncated = true;
      break;
    }
    const feed = registry.live(identity);
    const modified = new Date(Number(mtimeNs / 1_000_000n)).toISOString();
    entries.push({
      name,
      type: kind === 'directory' ? 'directory' : 'file',
      ...(kind === 'file' && { size: feed?.committed ?? size }),
      modified,
      live: feed !== undefined,
    });
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));

  reply.headers({ 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' });
  if (wantsJson(request)) {
    reply.type('application/json; charset=utf-8');
    return reply.send(`${JSON.stringify({ path: resource.toString(), entries, truncated })}\n`);
  }
  reply.header('content-security-policy', PAGE_POLICY);
  return reply.type('text/html; charset=utf-8').send(page(resource, entries, truncated));
}

function page(resource: ResourcePath, entries: readonly ListedEntry[], truncated: boolean): string {
  const title = escapeHtml(resource.toString());
  const rows = entries.map(({ name, type, size, modified, live }) => {
    const slash = type === 'directory' ? '/' : '';
    const link = `<a href="./${encodeURIComponent(name)}${slash}">${escapeHtml(name)}${slash}</a>`;
    return `<tr><td>${link}${live ? ' <b>live</b>' : ''}<td>${size ?? ''}<td>${modified}`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem }
td { padding-right: 2rem; font-variant-numeric: tabular-nums }
td:nth-child(2) { text-align: right }
b { color: #b00020; font-size: .8em }
</style>
<h1>${title}</h1>
<table>
${resource.isRoot ? '' : '<tr><td><a href="../">../</a><td><td>\n'}${rows.join('\n')}
</table>
${truncated ? `<p>Only the first ${MAX_ENTRIES} names are shown.\n` : ''}</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
