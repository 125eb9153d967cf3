import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FeedRegistry } from '../core/feed-registry.ts';
import { Slots } from '../core/slots.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';
import { ClientSocket } from './node/client-socket.ts';
import { preferredType } from './preferred-type.ts';
import { sendStream } from './send-bytes.ts';

/** A listing stops after this many names, and says so. */
const MAX_ENTRIES = 10_000;

/** So many directories are read at a time, with three descriptors each: more would be no faster. */
const MAX_LISTINGS = 4;

/** How much of a listing is laid out at a time, in characters. */
const PIECE_LENGTH = 64 * 1024;

/** How often something is written to a client that has perhaps gone, in milliseconds. */
const PROBE_INTERVAL_MS = 100;

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

/** What a listing has. */
interface Listing {
  entries: readonly ListedEntry[];
  /** Whether there are more names. */
  truncated: boolean;
}

/** How a listing looks. */
interface ListingForm {
  type: string;
  head: string;
  /** What is between two entries. */
  separator: string;
  row(entry: ListedEntry): string;
  tail(truncated: boolean): string;
}

/** Answers with what is in directories: a page for browsers, JSON for those who ask for it. */
export class DirectoryResponder {
  readonly #root: Root;
  readonly #registry: FeedRegistry;
  readonly #slots = new Slots(MAX_LISTINGS);

  constructor(root: Root, registry: FeedRegistry) {
    this.#root = root;
    this.#registry = registry;
  }

  /** @throws {ResourceNotFoundError} when there is no such directory any more */
  async send(request: FastifyRequest, reply: FastifyReply, resource: ResourcePath): Promise<FastifyReply> {
    const { socket } = request.raw;
    const client = ClientSocket.of(socket);
    const gone = new AbortController();
    const abort = () => gone.abort();
    socket.once('close', abort);
    if (socket.destroyed) abort();
    const listing = this.#slots.run(() => this.#read(resource, gone.signal), { signal: gone.signal });
    const over = () => void socket.off('close', abort);
    listing.then(over, over);
    await untilLeft(client, listing);

    reply.headers({ 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' });
    const form = wantsJson(request) ? jsonForm(resource) : pageForm(resource);
    reply.type(form.type);
    if (!wantsJson(request)) reply.header('content-security-policy', PAGE_POLICY);
    if (client.hasLeft) return sendStream(request, reply, readable(probing(form, listing)));
    const pieces = inPieces(textOf(form, await listing));
    const first = pieces.next().value ?? '';
    const second = pieces.next();
    if (second.done) return reply.send(first);
    return sendStream(request, reply, readable(chained([first, second.value], pieces)));
  }

  async #read(resource: ResourcePath, signal: AbortSignal): Promise<Listing> {
    const entries: ListedEntry[] = [];
    let truncated = false;
    for await (const { name, kind, identity, size, mtimeNs } of this.#root.list(resource, { signal })) {
      if (entries.length === MAX_ENTRIES) {
        truncated = true;
        break;
      }
      const feed = this.#registry.live(identity);
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
    return { entries, truncated };
  }
}

/** Resolves when `listing` is there, or when the client has left before; rejects when it fails first. */
async function untilLeft(client: ClientSocket, listing: Promise<Listing>): Promise<void> {
  if (client.hasLeft) return;
  let unwatch = () => {};
  const left = new Promise<void>((resolve) => {
    unwatch = client.onLeave(resolve);
  });
  await Promise.race([listing, left]).finally(() => unwatch());
}

/**
 * For a client that has closed its side: perhaps it has gone, and perhaps it
 * waits for the answer. It is known when something is written to it, so that
 * what means nothing there is, until the listing is read.
 */
async function* probing(
  form: ListingForm,
  listing: Promise<Listing>,
): AsyncGenerator<string, void, undefined> {
  yield form.head;
  let isRead = false;
  const read = listing.then(() => {
    isRead = true;
  });
  for (;;) {
    await Promise.race([read, delay(PROBE_INTERVAL_MS, undefined, { ref: false })]);
    if (isRead) break;
    yield '\n';
  }
  yield* inPieces(bodyOf(form, await listing));
}

function* textOf(form: ListingForm, listing: Listing): Generator<string, void, undefined> {
  yield form.head;
  yield* bodyOf(form, listing);
}

/** What comes after the head. */
function* bodyOf(form: ListingForm, { entries, truncated }: Listing): Generator<string, void, undefined> {
  for (const [i, entry] of entries.entries()) yield (i === 0 ? '' : form.separator) + form.row(entry);
  yield form.tail(truncated);
}

/** Puts short texts together, so that each is worth being sent. */
function* inPieces(texts: Iterable<string>): Generator<string, void, undefined> {
  let piece = '';
  for (const text of texts) {
    piece += text;
    if (piece.length < PIECE_LENGTH) continue;
    yield piece;
    piece = '';
  }
  if (piece !== '') yield piece;
}

function* chained(first: Iterable<string>, rest: Iterable<string>): Generator<string, void, undefined> {
  yield* first;
  yield* rest;
}

/** Makes them only as fast as they are taken. */
function readable(pieces: Iterable<string> | AsyncIterable<string>): Readable {
  return Readable.from(pieces, { objectMode: false, highWaterMark: PIECE_LENGTH });
}

function jsonForm(resource: ResourcePath): ListingForm {
  return {
    type: 'application/json; charset=utf-8',
    head: `{"path":${JSON.stringify(resource.toString())},"entries":[`,
    separator: ',',
    row: (entry) => JSON.stringify(entry),
    tail: (truncated) => `],"truncated":${truncated}}\n`,
  };
}

function pageForm(resource: ResourcePath): ListingForm {
  const title = escapeHtml(resource.toString());
  return {
    type: 'text/html; charset=utf-8',
    head: `<!doctype html>
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
${resource.isRoot ? '' : '<tr><td><a href="../">../</a><td><td>\n'}`,
    separator: '\n',
    row: ({ name, type, size, modified, live }) => {
      const slash = type === 'directory' ? '/' : '';
      const link = `<a href="./${encodeURIComponent(name)}${slash}">${escapeHtml(name)}${slash}</a>`;
      return `<tr><td>${link}${live ? ' <b>live</b>' : ''}<td>${size ?? ''}<td>${modified}`;
    },
    tail: (truncated) => `
</table>
${truncated ? `<p>Only the first ${MAX_ENTRIES} names are shown.\n` : ''}</html>
`,
  };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
