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

/** How long what is left of a listing is kept for a reader that takes nothing, in milliseconds. */
const KEPT_MS = 1000;

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

/**
 * The text of a listing, laid out piece by piece as it is taken. To a reader that
 * stalls nothing is kept but the name that it got last: the directory is read
 * again when it goes on.
 */
class ListingText {
  readonly #form: ListingForm;
  readonly #readAfter: (name: string) => Promise<Listing>;
  readonly #keptMs: number;
  /** What comes after the name that was laid out last, but for its first entries, which are out. */
  #listing: Promise<Listing> | undefined;
  #outCount = 0;
  #lastName = '';
  #isOver = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(form: ListingForm, readAfter: (name: string) => Promise<Listing>, keptMs: number) {
    this.#form = form;
    this.#readAfter = readAfter;
    this.#keptMs = keptMs;
    this.#listing = readAfter('');
  }

  /** Settles when the directory has been read. */
  async ready(): Promise<void> {
    await this.#listing;
  }

  get head(): string {
    return this.#form.head;
  }

  /** Whether its last piece was taken. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What comes after the head. */
  async *pieces(): AsyncGenerator<string, void, undefined> {
    while (!this.#isOver) yield await this.#next();
  }

  async #next(): Promise<string> {
    clearTimeout(this.#timer);
    this.#listing ??= this.#readAfter(this.#lastName);
    const { entries, truncated } = await this.#listing;
    let piece = '';
    while (piece.length < PIECE_LENGTH) {
      const entry = entries[this.#outCount];
      if (entry === undefined) {
        this.#isOver = true;
        this.#listing = undefined;
        return piece + this.#form.tail(truncated);
      }
      piece += (this.#lastName === '' ? '' : this.#form.separator) + this.#form.row(entry);
      this.#lastName = entry.name;
      this.#outCount++;
    }
    this.#timer = setTimeout(() => this.#forget(), this.#keptMs);
    return piece;
  }

  #forget(): void {
    this.#listing = undefined;
    this.#outCount = 0;
  }
}

/** Answers with what is in directories: a page for browsers, JSON for those who ask for it. */
export class DirectoryResponder {
  readonly #root: Root;
  readonly #registry: FeedRegistry;
  readonly #keptMs: number;
  readonly #slots = new Slots(MAX_LISTINGS);

  /** @param options.keptMs how long what is left of a listing is kept for a reader that takes nothing. Default 1,000 */
  constructor(root: Root, registry: FeedRegistry, { keptMs = KEPT_MS }: { keptMs?: number } = {}) {
    this.#root = root;
    this.#registry = registry;
    this.#keptMs = keptMs;
  }

  /** @throws {ResourceNotFoundError} when there is no such directory any more */
  async send(request: FastifyRequest, reply: FastifyReply, resource: ResourcePath): Promise<FastifyReply> {
    const { socket } = request.raw;
    const client = ClientSocket.of(socket);
    const gone = new AbortController();
    const abort = () => gone.abort();
    socket.once('close', abort);
    if (socket.destroyed) abort();
    reply.raw.once('close', () => socket.off('close', abort));
    const form = wantsJson(request) ? jsonForm(resource) : pageForm(resource);
    const { signal } = gone;
    const readAfter = (name: string) => this.#slots.run(() => this.#read(resource, name, signal), { signal });
    const text = new ListingText(form, readAfter, this.#keptMs);
    await untilLeft(client, text.ready());

    reply.headers({ 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' });
    reply.type(form.type);
    if (!wantsJson(request)) reply.header('content-security-policy', PAGE_POLICY);
    if (client.hasLeft) return sendStream(request, reply, readable(probing(text)));
    const pieces = text.pieces();
    const first = text.head + ((await pieces.next()).value ?? '');
    if (text.isOver) return reply.send(first);
    return sendStream(request, reply, readable(chained(first, pieces)));
  }

  /** @param after the name after which the entries begin */
  async #read(resource: ResourcePath, after: string, signal: AbortSignal): Promise<Listing> {
    const entries: ListedEntry[] = [];
    let truncated = false;
    let count = 0;
    for await (const { name, kind, identity, size, mtimeNs } of this.#root.list(resource, { signal })) {
      if (count === MAX_ENTRIES) {
        truncated = true;
        break;
      }
      count++;
      if (name <= after) continue;
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
async function untilLeft(client: ClientSocket, listing: Promise<void>): Promise<void> {
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
async function* probing(text: ListingText): AsyncGenerator<string, void, undefined> {
  yield text.head;
  let isRead = false;
  const read = text.ready().then(() => {
    isRead = true;
  });
  for (;;) {
    await Promise.race([read, delay(PROBE_INTERVAL_MS, undefined, { ref: false })]);
    if (isRead) break;
    yield '\n';
  }
  yield* text.pieces();
}

async function* chained(first: string, rest: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  yield first;
  yield* rest;
}

/** Makes them only as fast as they are taken. */
function readable(pieces: AsyncIterable<string>): Readable {
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
