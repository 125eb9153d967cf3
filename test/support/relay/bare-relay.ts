import { onTestFinished } from 'vitest';
import { Core } from '../../../src/core/core.ts';
import { Relay, type RelayOptions } from '../../../src/relay/relay.ts';
import { Forwarder } from '../../../src/relay/upstream/forward.ts';
import { parseUpstream } from '../../../src/relay/upstream/upstream-option.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { temporaryDirectory } from '../server/server.ts';
import { type Origin, startOrigin } from './origin.ts';

/** Somebody who asks, does not wait, and does not go. */
export const NOBODY = { via: undefined, waitMs: 0, signal: new AbortController().signal };

export const F = ResourcePath.parse('/f');

/** A relay without a server, and where what it serves comes from, unless an option says otherwise. */
export interface BareRelay {
  origin: Origin;
  root: string;
  core: Core;
  relay: Relay;
  /** What the log was told. */
  lines: string[];
}

/** Runs one until the test is over. */
export async function startRelay(options: Partial<RelayOptions> = {}): Promise<BareRelay> {
  const origin = await startOrigin();
  const root = await temporaryDirectory();
  const core = options.core ?? (await Core.open(root, { durability: 'os', graceMs: 0, fileMode: 0o644 }));
  const lines: string[] = [];
  const note = (detail: object, message: string) => void lines.push(`${message} ${JSON.stringify(detail)}`);
  const forwarder = new Forwarder();
  const relay = new Relay({
    core,
    forwarder,
    log: { debug: note, info: note, warn: note },
    upstreams: [parseUpstream(origin.url(''))],
    headTimeoutMs: 30_000,
    silenceMs: 30_000,
    maxBytes: Number.MAX_SAFE_INTEGER,
    keepBytes: Number.MAX_SAFE_INTEGER,
    idleMs: 30_000,
    goesOnForNobody: false,
    maxPulls: 100,
    ...options,
  });
  onTestFinished(async () => {
    const closed = core.close();
    await relay.close();
    forwarder.close();
    await closed;
  });
  return { origin, root, core, relay, lines };
}
