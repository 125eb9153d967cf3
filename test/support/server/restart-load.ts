import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { openAppend } from '../../../src/client/append/open-append.ts';
import { follow } from '../../../src/client/follow/follow.ts';
import type { FollowStream } from '../../../src/client/follow/follow-options.ts';
import { waitFor } from '../wait-for.ts';
import type { UrlSource } from './server.ts';

/** How many clients there are, and how often each of the appenders sends a line. */
export interface Load {
  appenders: number;
  followersOfEach: number;
  intervalMs: number;
}

/** What became of it. */
export interface LoadOutcome {
  /** What clients were told that was no success. */
  errors: string[];
  /** How many followers have got every byte of their appender once, and in order. */
  exact: number;
  /** The longest time for which any follower got nothing, in milliseconds. */
  silenceMs: number;
  /** How many requests on connections of their own, and on one that is used again, were answered. */
  requests: number;
}

/** Appends, follows and asks all the time, while a server is replaced. */
export class RestartLoad {
  readonly #server: UrlSource;
  readonly #load: Load;
  readonly #token: string;
  readonly #errors: string[] = [];
  readonly #appended: Promise<string>[] = [];
  /** Of each appender. */
  readonly #followed: Promise<{ digest: string; silenceMs: number }>[][] = [];
  readonly #asked: Promise<number>[] = [];
  /** Of each follower, when something came last. */
  readonly #heardAt: number[] = [];
  #isStarted = false;
  #isOver = false;

  /** @param token with which all of them come */
  constructor(server: UrlSource, load: Load, token: string) {
    this.#server = server;
    this.#load = load;
    this.#token = token;
  }

  /** Resolves when everybody is at work. */
  async start(): Promise<void> {
    const { appenders, followersOfEach } = this.#load;
    await Promise.all(
      Array.from({ length: appenders }, async (_, i) => {
        const url = this.#server.url(`/load/${i}`);
        await this.#append(url, i);
        const followers = Array.from({ length: followersOfEach }, () => follow(url, { token: this.#token }));
        this.#followed[i] = followers.map((stream) => this.#read(stream));
        await Promise.all(followers.map((stream) => once(stream, 'open')));
      }),
    );
    await fetch(this.#server.url('/asked'), { method: 'PUT', body: 'text', headers: this.#headers });
    this.#isStarted = true;
    for (const keepAlive of [false, true]) this.#asked.push(this.#ask(new http.Agent({ keepAlive })));
  }

  /** Resolves when every follower has got something from now on. */
  async everybodyHears(): Promise<void> {
    const now = performance.now();
    await waitFor(() => this.#heardAt.every((at) => at > now), 'everybody to go on');
  }

  /** Ends it in order. */
  async stop(): Promise<LoadOutcome> {
    this.#isOver = true;
    const sent = await Promise.all(this.#appended);
    const got = await Promise.all(this.#followed.map((followers) => Promise.all(followers)));
    const requests = await Promise.all(this.#asked);
    return {
      errors: this.#errors,
      exact: got.flatMap((of, i) => of.filter(({ digest }) => digest === sent[i])).length,
      silenceMs: Math.max(...got.flat().map(({ silenceMs }) => silenceMs)),
      requests: requests.reduce((sum, count) => sum + count, 0),
    };
  }

  get #headers(): { authorization: string } {
    return { authorization: `Bearer ${this.#token}` };
  }

  async #append(url: string, name: number): Promise<void> {
    const stream = openAppend(url, { token: this.#token });
    stream.on('error', (error) => this.#errors.push(`append: ${error}`));
    await once(stream, 'open');
    const hash = createHash('sha256');
    const write = async () => {
      for (let i = 0; !this.#isOver; i++) {
        const line = `${name} ${i} ${'x'.repeat(i % 100)}\n`;
        hash.update(line);
        stream.write(line);
        await delay(this.#load.intervalMs);
      }
      await stream.close();
      return hash.digest('hex');
    };
    this.#appended[name] = write();
  }

  async #read(stream: FollowStream): Promise<{ digest: string; silenceMs: number }> {
    const hash = createHash('sha256');
    let lastAt = Number.POSITIVE_INFINITY;
    let silenceMs = 0;
    const place = this.#heardAt.push(0) - 1;
    try {
      for await (const chunk of stream) {
        hash.update(chunk as Buffer);
        const now = performance.now();
        silenceMs = Math.max(silenceMs, now - lastAt);
        // Until everybody is at work they wait for each other.
        if (this.#isStarted) lastAt = now;
        this.#heardAt[place] = now;
      }
    } catch (error) {
      this.#errors.push(`follow: ${error}`);
    }
    return { digest: hash.digest('hex'), silenceMs };
  }

  async #ask(agent: http.Agent): Promise<number> {
    let count = 0;
    while (!this.#isOver) {
      try {
        const request = http.get(this.#server.url('/asked'), { agent, headers: this.#headers });
        const [response] = (await once(request, 'response')) as [http.IncomingMessage];
        if (response.statusCode !== 200) this.#errors.push(`status ${response.statusCode}`);
        await once(response.resume(), 'end');
        count++;
      } catch (error) {
        this.#errors.push(`ask: ${error}`);
      }
      await delay(this.#load.intervalMs);
    }
    agent.destroy();
    return count;
  }
}
