/**
 * Types of which a browser makes no document that could run scripts or show
 * others: a sandbox would only keep their players from loading them.
 */
const MEDIA = /^(?:audio|image|video)\/[\w.-]+$/;

/**
 * A page that somebody has stored may run scripts, so that reports can be read,
 * but as nobody's: in an origin of its own, to which this server gives nothing but what
 * a page loads from beside itself (page-paths.ts).
 */
const SANDBOX = 'sandbox allow-downloads allow-popups allow-popups-to-escape-sandbox allow-scripts';

const MEDIA_HEADERS: Readonly<Record<string, string>> = {
  'cross-origin-resource-policy': 'cross-origin',
  'x-content-type-options': 'nosniff',
};

const HEADERS: Readonly<Record<string, string>> = { 'content-security-policy': SANDBOX, ...MEDIA_HEADERS };

/** What browsers are told of bytes that users have brought, whichever way they are sent. */
export function userContentHeaders(contentType: string): Readonly<Record<string, string>> {
  return MEDIA.test(contentType) ? MEDIA_HEADERS : HEADERS;
}
