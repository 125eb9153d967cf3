import { once } from 'node:events';
import { readFile, stat, truncate } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AppendStream, openAppend } from '../../../src/client/index.ts';
import { pattern } from '../../support/pattern.ts';
import { Random } from '../../support/random.ts';
import { type ChainKind, RelayChain } from '../../support/relay/chain.ts';
import { ChainFollower, type Ending, type Pace } from '../../support/relay/chain-follower.ts';
import { waitFor } from '../../support/wait-for.ts';

const isSoak = process.env.HTTPFSTREAM_SOAK !== undefined;

const RELAYS = 2;

const LAST = RELAYS;

/** `npm run soak` runs the long form, with processes that are killed, `npm test` the short one. */
const { kind, runs, steps, maxBytes, ends } = isSoak
  ? {
      kind: 'processes' as ChainKind,
      runs: 20,
      steps: 24,
      maxBytes: 4 * 1024 * 1024,
      ends: ['finished', 'interrupted', 'deleted', 'truncated'] as const,
    }
  : {
      kind: 'in this process' as ChainKind,
      runs: 6,
      steps: 8,
      maxBytes: 300_000,
      // An appender that is lost is waited for longer than the short form lasts.
      ends: ['finished', 'deleted', 'truncated'] as const,
    };

const RETRY = { times: 1_000_000, minDelayMs: 1, maxDelayMs: 50 };

const STATUS = 7;

type Step =
  | { readonly do: 'write'; readonly bytes: number }
  | { readonly do: 'cut' | 'reset' | 'stall' | 'restart'; readonly at: number }
  | { readonly do: 'follow'; readonly at: number; readonly pace: Pace; readonly percent: number }
  | { readonly do: 'leave'; readonly which: number };

const at = fc.nat(RELAYS);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      bytes: fc.oneof(fc.nat(1000), fc.nat(maxBytes)),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('cut', 'reset', 'stall', 'restart'), at }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('follow' as const),
      at,
      pace: fc.constantFrom<Pace[]>('quick', 'slow', 'stalled'),
      percent: fc.nat(100),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat() }) },
);

const plan = fc.record({
  /** The server to which the appender is connected. */
  through: at,
  steps: fc.array(step, { minLength: steps / 2, maxLength: steps }),
  end: fc.constantFrom(...ends),
  meanwhile: fc.nat(2 * RELAYS),
});

/** What happens to one file of a chain. */
class Story {
  readonly #chain: RelayChain;
  readonly #urlPath: string;
  readonly #appender: AppendStream;
  readonly #followers: ChainFollower[] = [];
  #written = 0;
  #acknowledged = 0;
  #end: (typeof ends)[number] | undefined;

  constructor(chain: RelayChain, urlPath: string, through: number) {
    this.#chain = chain;
    this.#urlPath = urlPath;
    const onAck = (bytes: number) => {
      this.#acknowledged = bytes;
    };
    this.#appender = openAppend(chain.url(through, urlPath), { retry: RETRY, onAck, status: () => STATUS });
    this.#appender.on('error', () => undefined);
  }

  async begin(): Promise<void> {
    await once(this.#appender, 'open');
    await this.take({ do: 'write', bytes: 1 });
    for (const at of this.#chain.servers.keys())
      await this.take({ do: 'follow', at, pace: 'quick', percent: 0 });
  }

  async take(step: Step): Promise<void> {
    const chain = this.#chain;
    switch (step.do) {
      case 'write':
        this.#appender.write(pattern(this.#written, step.bytes));
        this.#written += step.bytes;
        break;
      case 'cut':
        chain.network(step.at).cutAll();
        break;
      case 'reset':
        chain.network(step.at).resetAll();
        break;
      case 'stall':
        chain.network(step.at).stallAll();
        await this.#pause();
        chain.network(step.at).resumeAll();
        break;
      case 'restart': {
        const safe = this.#acknowledged;
        await waitFor(() => this.#followers.every(({ isFollowing }) => isFollowing), 'all to follow');
        await chain.restart(step.at);
        if (step.at === 0) expect(await this.#sizeAt(0)).toBeGreaterThanOrEqual(safe);
        break;
      }
      case 'follow': {
        await waitFor(() => this.#acknowledged > 0, 'the first acknowledgement');
        // What is acknowledged may be not yet where it is followed.
        const from = Math.floor((step.percent / 100) * this.#acknowledged);
        const url = chain.url(step.at, this.#urlPath);
        this.#followers.push(new ChainFollower(url, { from, pace: step.pace }));
        break;
      }
      case 'leave': {
        const [follower] = this.#followers.splice(step.which % this.#followers.length, 1);
        follower?.leave();
        break;
      }
    }
    // What comes next comes while this goes on.
    await this.#pause();
  }

  /**
   * Ends it, and looks at what everybody has.
   *
   * @param meanwhile a relay that is restarted at this time; 0 or beyond the last: none
   */
  async end(how: (typeof ends)[number], meanwhile: number): Promise<void> {
    const chain = this.#chain;
    this.#end = how;
    await this.take({ do: 'follow', at: LAST, pace: 'quick', percent: 0 });
    const whole = how === 'finished' ? this.#written : undefined;
    if (how === 'finished') this.#appender.end();
    else {
      await this.take({ do: 'write', bytes: 1 });
      for (const follower of this.#followers) follower.release();
      if (how === 'interrupted') {
        await this.#have((follower) => follower.position === this.#written);
        this.#appender.destroy();
      } else {
        // What has become of what they read is told to all who have begun, though the way is cut at this time.
        await this.#have(({ isFollowing, position }) => isFollowing && position > 0);
        const isRestarted = meanwhile > 0 && meanwhile <= LAST;
        for (const network of chain.networks) network.cutAll();
        await Promise.all([isRestarted && chain.restart(meanwhile), this.#spoil(how)]);
      }
    }
    for (const follower of this.#followers) follower.release();
    await waitFor(() => this.#followers.every(({ hasEnded }) => hasEnded), 'all to have ended');
    for (const follower of this.#followers) {
      expect(await follower.ended, follower.describe()).toEqual(ENDINGS[how]);
      if (whole !== undefined) expect(follower.position, follower.describe()).toBe(whole);
    }
    await this.#look(how);
  }

  /** What is said when it goes wrong. */
  describe(): string {
    const followers = this.#followers.map((follower) => `\n${follower.describe()}`).join('');
    return `${this.#urlPath}: written ${this.#written}, acknowledged ${this.#acknowledged}, ${this.#end}${followers}`;
  }

  leave(): void {
    this.#appender.destroy();
    for (const follower of this.#followers) follower.leave();
  }

  async #look(how: (typeof ends)[number]): Promise<void> {
    const chain = this.#chain;
    const bytes = pattern(0, this.#written);
    for (const [index, server] of chain.servers.entries()) {
      const { status, body, streamStatus } = await get(server.url(this.#urlPath));
      if (how === 'deleted') expect(status, `at ${index}`).toBe(404);
      else if (how === 'finished') {
        expect([status, body.equals(bytes)], `at ${index}`).toEqual([200, true]);
        // Those who follow may have the end from the server before, sooner than it is here.
        const isKnown = async () => (await get(server.url(this.#urlPath))).streamStatus === `${STATUS}`;
        if (streamStatus === null) await waitFor(isKnown, `the status at ${index}`);
        else expect(streamStatus, `at ${index}`).toBe(`${STATUS}`);
      }
      if (how === 'deleted' || how === 'truncated') continue;
      // What a relay passes on, since a server before it has just refused it, it fetches for who asks a moment later.
      const hasAll = async () => {
        await get(server.url(this.#urlPath));
        return (await readFile(this.#fileAt(index)).catch(() => undefined))?.equals(bytes) === true;
      };
      await waitFor(hasAll, `all of it in the file at ${index}`);
    }
  }

  /** What ends it otherwise than its appender does. */
  async #spoil(how: 'deleted' | 'truncated'): Promise<void> {
    if (how === 'truncated') await truncate(this.#fileAt(0), 0);
    else await fetch(this.#chain.server(0).url(this.#urlPath), { method: 'DELETE' });
  }

  async #have(isEnough: (follower: ChainFollower) => boolean): Promise<void> {
    for (const follower of this.#followers) {
      const hasIt = () => follower.hasEnded || isEnough(follower);
      await waitFor(hasIt, `enough of it: ${follower.describe()}`);
      // What cannot be followed is told at once.
      if (follower.hasEnded) expect(await follower.ended, follower.describe()).toBe('not yet');
    }
  }

  #fileAt(index: number): string {
    return path.join(this.#chain.server(index).root, this.#urlPath);
  }

  async #sizeAt(index: number): Promise<number> {
    const { size } = await stat(this.#fileAt(index)).catch(() => ({ size: 0 }));
    return size;
  }

  /** As long as the event loop needs for a few rounds. */
  async #pause(): Promise<void> {
    for (let round = 0; round < 20; round++) await new Promise(setImmediate);
  }
}

interface Answer {
  status: number;
  body: Buffer;
  streamStatus: string | null;
}

async function get(url: string): Promise<Answer> {
  const response = await fetch(url);
  const body = Buffer.from(await response.arrayBuffer());
  return { status: response.status, body, streamStatus: response.headers.get('stream-status') };
}

const ENDINGS: Readonly<Record<(typeof ends)[number] | 'interrupted', Ending>> = {
  finished: ['finished', STATUS],
  interrupted: ['HFS_STREAM_INTERRUPTED', undefined],
  deleted: ['HFS_RESOURCE_GONE', undefined],
  truncated: ['HFS_STREAM_TRUNCATED', undefined],
};

test('whatever happens to an origin, to relays and between them, all get the same bytes and the same end', async () => {
  const random = Random.fromEnvironment();
  const chain = await RelayChain.start(RELAYS, kind, random);
  let stories = 0;
  await fc.assert(
    fc.asyncProperty(plan, async ({ through, steps, end, meanwhile }) => {
      const story = new Story(chain, `/f-${stories++}`, through);
      try {
        await story.begin();
        for (const step of steps) await story.take(step);
        await story.end(end, meanwhile);
      } catch (cause) {
        throw new Error(story.describe(), { cause });
      } finally {
        story.leave();
      }
    }),
    // What a run leaves is of no matter to the next one, but one that hangs is not repeated.
    { seed: random.seed | 0, numRuns: runs, endOnFailure: true },
  );
});
