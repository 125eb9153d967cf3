import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ServerClosingError } from '../../src/wire/errors.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { CollectingSink, startCore } from '../support/core/harness.ts';

const { signal } = new AbortController();

describe('a core that closes', () => {
  it('does not say how the session ends that waits for its client: that is for the next server to tell', async () => {
    const { core, open } = await startCore();
    const appender = await open('/f', undefined, { session: 'a'.repeat(20) });
    appender.append(Buffer.from('some'));
    appender.release();
    const f = ResourcePath.parse('/f');
    const early = new CollectingSink();
    early.follower = await core.followers.follow(f, {}, early, signal);
    early.drain();
    await core.close();
    expect(early.endReason).toBe('shutdown');
    await expect(core.followers.follow(f, {}, new CollectingSink(), signal)).rejects.toThrow(
      ServerClosingError,
    );
    await expect(core.followers.withLiveFeed(f, () => undefined)).rejects.toThrow(ServerClosingError);
  });

  it('takes no follower of what nobody appends to', async () => {
    const { core, directory } = await startCore();
    await writeFile(path.join(directory, 'f'), 'some');
    await core.close();
    const follow = core.followers.follow(ResourcePath.parse('/f'), {}, new CollectingSink(), signal);
    await expect(follow).rejects.toThrow(ServerClosingError);
  });
});
