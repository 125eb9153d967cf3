const TOKEN = "[-!#$%&'*+.^_`|~\\dA-Za-z]+";
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}[\\t ]*(?:;|$)`);

/** What a header may have in it (RFC 9110, section 5.5). */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Longest content type that is told by a message, which has its bounds, or given by an append, in characters. */
export const MAX_TYPE_LENGTH = 1024;

/** The type of forms without files, which curl gives a body if it is told none. */
export const FORM_TYPE = 'application/x-www-form-urlencoded';

/** Whether a `Content-Type` is one (RFC 9110, section 8.3.1), whatever its parameters are. */
export function isMediaType(text: string): boolean {
  return MEDIA_TYPE.test(text);
}

/** Whether a text that did not come as a header is a content type that can be sent as one, and is not too long. */
export function isContentType(text: unknown): text is string {
  return (
    typeof text === 'string' && text.length <= MAX_TYPE_LENGTH && isMediaType(text) && FIELD_VALUE.test(text)
  );
}
