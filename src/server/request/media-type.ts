import type { FastifyRequest } from 'fastify';

const TOKEN = "[-!#$%&'*+.^_`|~\\dA-Za-z]+";
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}[\\t ]*(?:;|$)`);

/** What a body is called here whose own type is none. */
const ANY_TYPE = 'application/octet-stream';

/** Whether a `Content-Type` is one (RFC 9110, section 8.3.1), whatever its parameters are. */
export function isMediaType(text: string): boolean {
  return MEDIA_TYPE.test(text);
}

/** The `Content-Type` of a request as it was sent; undefined when there is none, or nothing in it. */
export function sentTypeOf({ raw }: FastifyRequest): string | undefined {
  return raw.headers['content-type'] || undefined;
}

/**
 * Lets every `Content-Type` through. Fastify refuses
 * what is none before anybody has looked at what the request wants, which may
 * have nothing to do with a type. Those who care ask {@link sentTypeOf}.
 */
export function allowAnyType(request: FastifyRequest): void {
  const type = request.raw.headers['content-type'];
  if (type !== undefined && !isMediaType(type)) request.headers = { 'content-type': ANY_TYPE };
}
