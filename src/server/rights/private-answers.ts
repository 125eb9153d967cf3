import type { FastifyReply, FastifyRequest } from 'fastify';
import { admissionOf } from './admission.ts';

type Value = number | string | string[] | undefined;

/** Those of an answer. */
interface Headers {
  vary?: Value;
  'cache-control'?: Value;
}

/** What others may keep of an answer, and for how long. */
const SHARED = /^(?:public|private|s-maxage=.*)$/i;

/** The headers of an answer that say who else may have it: where there are rights, no cache on the way decides that. */
export function privacyOf(
  request: FastifyRequest,
  { vary = '', 'cache-control': control = '' }: Headers,
): Record<string, string> {
  const admission = admissionOf(request);
  if (admission.isFree) return {};
  return {
    vary: vary === '' ? 'Authorization' : `${[vary].flat().join(', ')}, Authorization`,
    'referrer-policy': 'no-referrer',
    ...(admission.isPersonal && { 'cache-control': privateControl(String(control)) }),
  };
}

/** Says it in an answer, for the head that has been made so far. */
export function markPrivate(request: FastifyRequest, reply: FastifyReply): void {
  const said = { vary: reply.getHeader('vary'), 'cache-control': reply.getHeader('cache-control') };
  reply.headers(privacyOf(request, said));
}

/** A hook for what is sent by Fastify: what goes past it is marked by who sends it. */
export function keepPrivate(
  request: FastifyRequest,
  reply: FastifyReply,
  _payload: unknown,
  done: (error: null) => void,
): void {
  markPrivate(request, reply);
  done(null);
}

function privateControl(control: string): string {
  if (control === 'no-cache') return 'private, no-cache';
  const directives = control.split(',').map((directive) => directive.trim());
  if (directives.includes('no-store')) return control;
  return ['private', ...directives.filter((each) => each !== '' && !SHARED.test(each))].join(', ');
}
