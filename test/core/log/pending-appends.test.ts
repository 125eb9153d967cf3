import { expect, onTestFinished, test, vi } from 'vitest';
import { Permit } from '../../../src/core/permit.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CollectingSink, startCore } from '../../support/core/harness.ts';
import { makeStream } from '../../support/core/streams.ts';

test('followers keep no buffer in memory of which an append is the lesser part, and get any other uncopied', async () => {
  const { core } = await startCore();
  await makeStream(core, 'stream');
  const permit = Permit.own(ResourcePath.parse('/stream'));
  const reads = await core.followers.openLive(permit);
  onTestFinished(() => reads.release());
  const sink = new CollectingSink();
  const writing = vi.spyOn(sink, 'write');
  sink.follower = reads.join(reads.feed.committed, sink);
  onTestFinished(() => sink.follower?.leave());
  sink.drain();
  const document = Buffer.alloc(1024 * 1024, 'x');
  const append = { contentType: 'text/plain', seq: undefined, producer: undefined, close: false };
  for (const bytes of [document.subarray(0, 100_000), document])
    await reads.resource.append({ ...append, bytes });
  const [part, whole] = writing.mock.calls.flatMap(([encoded]) => encoded);
  expect([part?.length, part?.buffer.byteLength]).toEqual([100_000, 100_000]);
  expect(whole).toBe(document);
});
