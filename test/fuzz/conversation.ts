import { Random } from '../support/random.ts';
import { anyExchange, halfARequest } from './exchanges.ts';
import { mutate } from './mutations.ts';

/** One thing that a client does with its connection. */
export type Step =
  /** Writes bytes, in pieces: where it pauses is told in parts of the whole, rising. */
  | { do: 'send'; bytes: Buffer; cuts: readonly number[] }
  /** Waits until something has come and no more does, but not long. */
  | { do: 'listen' }
  | { do: 'wait'; milliseconds: number }
  /** Takes nothing from the socket until it resumes. */
  | { do: 'pause' }
  | { do: 'resume' };

/** How a client leaves. */
export type Farewell =
  /** Says that it has no more to say, and reads on until the server closes. */
  | 'halfClose'
  /** Says nothing more before the request is whole, and waits for the server to close. */
  | 'awaitClose'
  /** RST. */
  | 'reset'
  /** FIN, and RST for whatever comes then. */
  | 'destroy'
  /** Stays, without a word, until the fuzzer closes it. */
  | 'stay';

/** All that one client does. A function of the seed and its number. */
export interface Conversation {
  number: number;
  steps: readonly Step[];
  farewell: Farewell;
}

/** Pauses within and between requests are at most so long. */
const MAX_WAIT_MS = 40;

/** What is told of what was sent: the seed has the rest. */
const SHOWN_BYTES = 400;

/**
 * Of so many conversations the first few are with clients that say half a request
 * and wait for what comes: it takes the server its time to close these, so none
 * is to begin at the end of a short run.
 */
const SILENCE_PERIOD = 10_000;
const SILENT_CONVERSATIONS = 16;

/** Makes a conversation, the same for the same seed and number. */
export function makeConversation(seed: number, number: number): Conversation {
  const random = new Random(seed).fork(number);
  if (number % SILENCE_PERIOD < SILENT_CONVERSATIONS) {
    return { number, steps: [send(random, halfARequest(random))], farewell: 'awaitClose' };
  }
  const isMutated = random.chance(0.4);
  // A name in what is compressed could not be known, once it is changed.
  const messages = Array.from({ length: random.logInteger(1, 8) }, () => anyExchange(random, !isMutated));
  if (isMutated) {
    const victim = random.integer(0, messages.length - 1);
    messages[victim] = mutate(random, messages[victim] as Buffer);
  }
  const isPipelined = random.chance(0.5);
  const steps = isPipelined
    ? [send(random, Buffer.concat(messages))]
    : messages.flatMap((bytes): Step[] => [send(random, bytes), { do: 'listen' }]);
  if (isPipelined && random.chance(0.6)) steps.push({ do: 'listen' });
  return { number, steps: disturb(random, steps), farewell: anyFarewell(random) };
}

/** Tells what a conversation does, for people. */
export function describe({ number, steps, farewell }: Conversation): string {
  const lines = steps.map((step) => {
    if (step.do === 'wait') return `wait ${step.milliseconds} ms`;
    if (step.do !== 'send') return step.do;
    const pieces = step.cuts.length === 0 ? '' : ` in ${step.cuts.length + 1} pieces`;
    return `send ${step.bytes.length} bytes${pieces}: ${quote(step.bytes)}`;
  });
  return [`conversation ${number}`, ...lines, farewell].join('\n    ');
}

function quote(bytes: Buffer): string {
  const text = JSON.stringify(bytes.subarray(0, SHOWN_BYTES).toString('latin1'));
  const shown = text.replace(/[\x7f-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`);
  return bytes.length > SHOWN_BYTES ? `${shown} …` : shown;
}

function send(random: Random, bytes: Buffer): Step {
  const count = random.chance(0.6) ? 0 : random.integer(1, 6);
  return {
    do: 'send',
    bytes,
    cuts: Array.from({ length: count }, () => random.fraction()).sort((a, b) => a - b),
  };
}

function disturb(random: Random, steps: readonly Step[]): Step[] {
  const waits = (): Step[] =>
    random.chance(0.3) ? [{ do: 'wait', milliseconds: random.logInteger(1, MAX_WAIT_MS) }] : [];
  const all = steps.flatMap((step) => [step, ...waits()]);
  if (random.chance(0.15)) all.splice(random.integer(0, all.length), 0, { do: 'pause' });
  if (random.chance(0.15)) all.push({ do: 'resume' });
  return all;
}

function anyFarewell(random: Random): Farewell {
  return random.pickWeighted({ halfClose: 40, reset: 30, destroy: 20, stay: 6 });
}
