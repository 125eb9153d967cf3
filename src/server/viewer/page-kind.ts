import { mediaTypeOf } from '../../core/streams/stream-type.ts';
import type { PageKind } from '../../wire/page.ts';
import { contentTypeOfName, isText } from '../response/content-type.ts';
import type { FileLook } from '../response/page-sender.ts';

/** Types that a browser shows by itself, and as nobody's (`userContentHeaders`): HTML, what is XML, and PDF. */
const HTML = /^(?:text\/html|application\/xhtml\+xml)$/;
const XML = /[/+]xml$/;
const PDF = 'application/pdf';

/** What is called a text is one, with bells and invalid bytes in it, too. */
const TEXT = /^text\//;

const MEDIA = /^(?<kind>image|audio|video)\//;

/** Types, and endings of names that have none, of what has one JSON value a line. */
const RECORDS = /^application\/(?:x-)?(?:ndjson|jsonl|json-?lines)$/;
const RECORDS_NAME = /\.(?:jsonl|ndjson)$/i;

/** Types of one JSON value. */
const JSON_DOCUMENT = /^application\/(?:\S+\+)?json$/;

/** Where markup begins: after a byte order mark, and white space. */
const MARKUP = /^(?:\xef\xbb\xbf)?\s*</;

/**
 * The kind of page for a file; undefined for what the browser shows by itself. What is text is shown as such whatever its
 * name says: of `.ts` and `.rs`, say, that it is video, or XML.
 */
export function kindOfFile({ name, contentType, head, isJsonStream }: FileLook): PageKind | undefined {
  const type = mediaTypeOf(contentType);
  if (HTML.test(type) || type === PDF) return undefined;
  if (XML.test(type) && MARKUP.test(head.toString('latin1'))) return undefined;
  if (isJsonStream || isRecords(type, name)) return 'records';
  if (JSON_DOCUMENT.test(type) && isText(head)) return 'json';
  if (TEXT.test(type) || (head.length > 0 && isText(head))) return 'text';
  return mediaOf(type) ?? (head.length > 0 ? 'binary' : 'text');
}

/** The kind of page for what the browser would show by itself, as it is stored. */
export function sourceKindOf({ head }: FileLook): PageKind {
  return isText(head) ? 'text' : 'binary';
}

/**
 * The kind of page for what cannot be looked at: it is elsewhere, there is nothing yet, or who asks may not see it. Undefined
 * for what the browser shows by itself.
 */
export function kindOfName(name: string): PageKind | undefined {
  const type = mediaTypeOf(contentTypeOfName(name) ?? '');
  if (HTML.test(type) || XML.test(type) || type === PDF) return undefined;
  if (isRecords(type, name)) return 'records';
  if (JSON_DOCUMENT.test(type)) return 'json';
  return mediaOf(type) ?? 'text';
}

function isRecords(type: string, name: string): boolean {
  return RECORDS.test(type) || RECORDS_NAME.test(name);
}

function mediaOf(type: string): PageKind | undefined {
  return MEDIA.exec(type)?.groups?.kind as PageKind | undefined;
}
