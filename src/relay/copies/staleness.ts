import { KeptAnswer } from './kept-answer.ts';
import type { Copied } from './local-copy.ts';

/** Whether what is here may be served when nobody can be asked whether it still holds. */
export function mayServeStale(here: Copied | 'own' | 'occupied' | undefined, url: URL): boolean {
  if (typeof here !== 'object') return here === 'own';
  if (here.outcome === undefined || here.url !== url.href) return false;
  if (here.answer === undefined) return true;
  return here.outcome.reason === 'finished' && KeptAnswer.from(url, here.answer)?.mayBeStale === true;
}
