import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, send } from '../http/request.ts';
import type { Random } from '../random.ts';
import type { UrlSource } from '../server/server.ts';
import { StreamPeer } from './stream-peer.ts';

/** Longest pause before a request is tried again. */
const MAX_RETRY_MS = 50;

/** Over the size up to which a batch goes through the journal as a whole. */
const LARGE_BYTES = 300 * 1024;

/** How often a batch is that large, and how often one is sent again that was taken. */
const LARGE_CHANCE = 0.01;
const REPEAT_CHANCE = 0.05;

/**
 * An idempotent producer that never gives up: batch `k` is one line, sent again
 * until the server has said that it is there, whatever happens to the server.
 */
export class TirelessProducer {
  readonly id: string;
  readonly stream: StreamPeer;
  /** How many batches the server has said that it has. */
  acknowledged = 0;
  /** How often it turned out that the server did not know any more what it had acknowledged. */
  forgotten = 0;
  /** How often a batch was there already, when it was sent because its answer was lost. */
  repeated = 0;
  /** How many requests were answered. */
  answers = 0;
  readonly #random: Random;
  readonly #server: UrlSource;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  constructor(id: string, server: UrlSource, urlPath: string, random: Random) {
    this.id = id;
    this.stream = new StreamPeer(server, urlPath);
    this.#server = server;
    this.#random = random;
  }

  /** The line of batch `k`; the same one each time. */
  line(k: number): string {
    const random = this.#random.fork(k);
    const padding = random.chance(LARGE_CHANCE) ? LARGE_BYTES : random.integer(0, 300);
    return `${this.id} ${k} ${'.'.repeat(padding)}\n`;
  }

  /** Produces until `isOver` holds and everything that was begun is there. */
  async run(isOver: () => boolean, signal: AbortSignal): Promise<void> {
    try {
      let k = 0;
      while (!isOver() || k < this.acknowledged) {
        k = await this.#bring(k, signal);
        this.acknowledged = Math.max(this.acknowledged, k);
        if (k > 0 && this.#random.chance(REPEAT_CHANCE)) k = await this.#bring(k - 1, signal);
      }
      // What was there may have been forgotten since.
      let next = k - 1;
      while (next >= 0 && next < this.acknowledged) next = await this.#bring(next, signal);
    } finally {
      this.#agent.destroy();
    }
  }

  /** @returns the batch that comes next: `k + 1`, or an earlier one if the server lacks it */
  async #bring(k: number, signal: AbortSignal): Promise<number> {
    for (;;) {
      signal.throwIfAborted();
      const answer = await this.#post(k);
      if (answer !== undefined) this.answers++;
      switch (answer?.status) {
        case 200:
          if (k < this.acknowledged) this.forgotten++;
          return k + 1;
        case 204:
          this.repeated++;
          return k + 1;
        case 409: {
          const expected = Number(answer.headers['producer-expected-seq'] ?? Number.NaN);
          if (!Number.isSafeInteger(expected) || expected >= k) {
            throw new Error(
              `${this.id}: 409 for batch ${k}, and the server wants ${expected}: ${answer.text}`,
            );
          }
          this.forgotten++;
          return expected;
        }
        case 404:
          // What made the stream is forgotten too.
          this.forgotten++;
          await this.#make();
          return 0;
        case undefined:
        case 503:
          await sleep(this.#random.logInteger(1, MAX_RETRY_MS));
          break;
        default:
          throw new Error(`${this.id}: status ${answer?.status} for batch ${k}: ${answer?.text}`);
      }
    }
  }

  #post(k: number): Promise<Answer | undefined> {
    return this.#send('POST', {
      headers: {
        'content-type': 'text/plain',
        'producer-id': this.id,
        'producer-epoch': 0,
        'producer-seq': k,
      },
      body: this.line(k),
    });
  }

  async #make(): Promise<void> {
    await this.#send('PUT', { headers: { 'content-type': 'text/plain' } });
  }

  /** Undefined: the server is not there, or the connection broke. */
  async #send(method: string, request: Parameters<typeof send>[2]): Promise<Answer | undefined> {
    let url: string;
    try {
      url = this.#server.url(this.stream.path);
    } catch {
      // It is being started.
      return undefined;
    }
    return send(method, url, { ...request, agent: this.#agent }).catch(() => undefined);
  }
}

/** @returns what is wrong with one producer's lines in a stream; undefined if each is there once and in order */
export function flawIn(lines: readonly string[], producer: TirelessProducer): string | undefined {
  const own = lines.filter((line) => line.startsWith(`${producer.id} `));
  for (const [index, line] of own.entries()) {
    if (`${line}\n` === producer.line(index)) continue;
    const what = `line ${index} is ${JSON.stringify(line.slice(0, 60))}, ${line.length} characters long`;
    return `${producer.id}: ${what}; ${producer.acknowledged} were acknowledged`;
  }
  if (own.length < producer.acknowledged) {
    return `${producer.id}: ${own.length} lines, and ${producer.acknowledged} were acknowledged`;
  }
}
