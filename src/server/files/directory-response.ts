import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Directories, Kind } from '../../core/directories.ts';
import type { Permit } from '../../core/permit.ts';
import type { Standing } from '../../core/readers/followers.ts';
import { Slots } from '../../core/slots.ts';
import { LIST_VIEW, VIEW_QUERY } from '../../wire/page.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { ClientSocket } from '../node/connections/client-socket.ts';
import { preferredType } from '../request/headers.ts';
import { parameterOf } from '../request/query-parameters.ts';
import { type ListedEntry, listRow } from '../response/list-row.ts';
import { sendStream } from '../response/send-bytes.ts';
import { type Admission, admissionOf } from '../rights/admission.ts';
import { type Listing, type ListingForm, ListingText, PIECE_LENGTH } from './listing-text.ts';
import { sortedByName } from './sorted-by-name.ts';

/** A listing stops after this many names, and says so; … */
const MAX_ENTRIES = 10_000;

/** … a list for the page, which looks through them by itself, after this many; … */
const MAX_ROWS = 50_000;

/** … and both after this many of which its client is not to know, which cost less. */
const MAX_HIDDEN = 50_000;

/** How many directories are read at a time, with three descriptors each: more would be no faster. */
const MAX_LISTINGS = 4;

/** How often a client that may be gone is probed by a write, in milliseconds. */
const PROBE_INTERVAL_MS = 100;

/** The page needs nothing but its own style, and nobody else may show it. */
const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** One name in the JSON form of a listing. */
export interface JsonEntry {
  name: string;
  type: 'file' | 'directory';
  /** Bytes; the committed ones while somebody appends. Files only. */
  size?: number;
  /** Time of the last change, ISO 8601. */
  modified: string;
  /** Whether somebody appends to it now. */
  live: boolean;
  /** Exit status of the command whose output it is, if that is known. */
  status?: number;
  /** Set for a directory that comes from an upstream. */
  relay?: true;
}

/** Whether the client prefers the JSON form of a listing. */
export function wantsJson(request: FastifyRequest): boolean {
  return preferredType(request, ['html', 'json']) === 'json';
}

/** Whether the client is a page that shows what is in a directory. */
export function wantsList(request: FastifyRequest): boolean {
  return parameterOf(request, VIEW_QUERY) === LIST_VIEW;
}

/** Answers with what is in directories: a page for browsers, JSON for those who ask for it. */
export class DirectoryResponder {
  readonly #directories: Directories;
  readonly #relayed: ReadonlySet<string>;
  readonly #slots = new Slots(MAX_LISTINGS);

  /** @param relayed paths of directories that come from upstreams, without a slash at the end */
  constructor(directories: Directories, relayed: readonly string[]) {
    this.#directories = directories;
    this.#relayed = new Set(relayed);
  }

  /** @throws {ResourceNotFoundError} when there is no such directory any more */
  async send(request: FastifyRequest, reply: FastifyReply, permit: Permit<'list'>): Promise<FastifyReply> {
    const { path } = permit;
    const admission = admissionOf(request);
    const { socket } = request.raw;
    const client = ClientSocket.of(socket);
    const gone = new AbortController();
    const abort = () => gone.abort();
    socket.once('close', abort);
    if (socket.destroyed) abort();
    reply.raw.once('close', () => socket.off('close', abort));
    const form = wantsList(request) ? listForm(path) : wantsJson(request) ? jsonForm(path) : pageForm(path);
    const maxEntries = wantsList(request) ? MAX_ROWS : MAX_ENTRIES;
    const { signal } = gone;
    const readAfter = (after: string) =>
      this.#slots.run(() => this.#read(permit, admission, { after, maxEntries, signal }), { signal });
    const text = new ListingText(form, readAfter);
    await untilLeft(client, text);

    reply.headers({ 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' });
    reply.type(form.type);
    if (form.policy !== undefined) reply.header('content-security-policy', form.policy);
    if (client.hasLeft) return sendStream(request, reply, readable(probing(text)));
    const pieces = text.pieces();
    const first = text.head + ((await pieces.next()).value ?? '');
    if (text.isOver) return reply.send(first);
    return sendStream(request, reply, readable(chained(first, pieces)));
  }

  /** @param options.after the name after which the entries begin */
  async #read(
    permit: Permit<'list'>,
    admission: Admission,
    { after, maxEntries, signal }: { after: string; maxEntries: number; signal: AbortSignal },
  ): Promise<Listing> {
    const { path } = permit;
    const entries: ListedEntry[] = [];
    let [shownCount, hiddenCount] = [0, 0];
    const isTruncated = () => shownCount > maxEntries || hiddenCount > MAX_HIDDEN;
    const judge = async (kind: Kind, entry: ResourcePath) => {
      const isShown = await admission.shows(kind, entry);
      if (isShown) shownCount++;
      else hiddenCount++;
      if (isTruncated()) return 'enough';
      return isShown ? 'shown' : 'hidden';
    };
    const found = this.#directories.list(permit, { signal, judge });
    for await (const { name, stat, size, standing } of found) {
      if (name <= after) continue;
      entries.push({
        name,
        isDirectory: stat.kind === 'directory',
        size,
        modifiedMs: Number(stat.mtimeNs / 1_000_000n),
        standing,
        isRelayed: this.#relayed.has(`${path}${name}`),
      });
    }
    return { entries: await sortedByName(entries), truncated: isTruncated() };
  }
}

/** Resolves when the directory has been read, or when the client has left before; rejects when it fails first. */
async function untilLeft(client: ClientSocket, text: ListingText): Promise<void> {
  if (client.hasLeft) return;
  let unwatch = () => {};
  const left = new Promise<void>((resolve) => {
    unwatch = client.onLeave(resolve);
  });
  await Promise.race([text.ready(), left]).finally(() => unwatch());
}

/**
 * For a client that has closed its side: it may be gone, or wait for the answer.
 * Only a write tells, so that white space is written until the listing is read.
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

/** A stream that takes the pieces only as fast as it is read. */
function readable(pieces: AsyncIterable<string>): Readable {
  return Readable.from(pieces, { objectMode: false, highWaterMark: PIECE_LENGTH });
}

function jsonForm(path: ResourcePath): ListingForm {
  return {
    type: 'application/json; charset=utf-8',
    head: `{"path":${JSON.stringify(path.toString())},"entries":[`,
    separator: ',',
    row: (entry) => JSON.stringify(jsonEntryOf(entry)),
    tail: (truncated) => `],"truncated":${truncated}}\n`,
  };
}

function jsonEntryOf(entry: ListedEntry): JsonEntry {
  const { name, isDirectory, size, modifiedMs, standing, isRelayed } = entry;
  return {
    name,
    type: isDirectory ? 'directory' : 'file',
    ...(size !== undefined && { size }),
    modified: new Date(modifiedMs).toISOString(),
    live: isLive(standing),
    ...(standing?.status !== undefined && { status: standing.status }),
    ...(isRelayed && { relay: true }),
  };
}

function listForm(path: ResourcePath): ListingForm {
  return {
    type: 'application/json; charset=utf-8',
    head: `{"path":${JSON.stringify(path.toString())},"rows":[`,
    separator: ',',
    row: (entry) => JSON.stringify(listRow(entry)),
    tail: (truncated) => `],"truncated":${truncated}}\n`,
  };
}

function isLive(standing: Standing | undefined): boolean {
  return standing?.state === 'live' || standing?.state === 'waiting';
}

function pageForm(path: ResourcePath): ListingForm {
  const title = escapeHtml(path.toString());
  return {
    type: 'text/html; charset=utf-8',
    policy: PAGE_POLICY,
    head: `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem }
td { padding-right: 2rem; font-variant-numeric: tabular-nums }
td:nth-child(2) { text-align: right }
b, i { font-size: .8em }
b { color: #b00020 }
</style>
<h1>${title}</h1>
<table>
${path.isRoot ? '' : '<tr><td><a href="../">../</a><td><td>\n'}`,
    separator: '\n',
    row: ({ name, isDirectory, size, modifiedMs, standing, isRelayed }) => {
      const slash = isDirectory ? '/' : '';
      const modified = new Date(modifiedMs).toISOString();
      const link = `<a href="./${encodeURIComponent(name)}${slash}">${escapeHtml(name)}${slash}</a>`;
      const mark = isLive(standing) ? ' <b>live</b>' : isRelayed ? ' <i>relay</i>' : markOf(standing?.status);
      return `<tr><td>${link}${mark}<td>${size ?? ''}<td>${modified}`;
    },
    tail: (truncated) => `
</table>
${truncated ? '<p>There are more names than are shown.\n' : ''}</html>
`,
  };
}

function markOf(status: number | undefined): string {
  if (status === undefined) return '';
  return status === 0 ? ' <i>status 0</i>' : ` <b>status ${status}</b>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
