import type { FastifyReply, FastifyRequest } from 'fastify';
import { admissionOf } from './admission.ts';

/** Those of an answer. */
type Headers = Readonly<Record<string, number | string | string[] | undefined>>;

/** What others may keep of an answer, and for how long. */
const SHARED = /^(?:public|private|s-maxage=.*)$/i;

/** The headers of an answer that say who else may have it: where there are rights, no cache on the way decides that. */
export function privacyOf(
  request: FastifyRequest,
  { vary = [], 'cache-control': control = '' }: Headers,
): Record<string, string> {
  const admission = admissionOf(request);
  if (admission.isFree) return {};
  return {
    vary: [vary].flat().concat('Authorization').join(', '),
    'referrer-policy': 'no-referrer',
    ...(admission.isPersonal && { 'cache-control': privateControl(String(control)) }),
  };
}

/** A hook for what is sent by Fastify. */
export async function keepPrivate(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.headers(privacyOf(request, reply.getHeaders()));
}

function privateControl(control: string): string {
  const directives = control.split(',').map((directive) => directive.trim());
  if (directives.includes('no-store')) return control;
  return ['private', ...directives.filter((each) => each !== '' && !SHARED.test(each))].join(', ');
}
