import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { CutWatch } from '../../../src/core/watch/cut-watch.ts';

/** A file of so many bytes of which somebody wants to know whether it was cut. */
function watchedFile(size: number) {
  const cuts = new CutWatch(size);
  let now = size;
  const look = () => cuts.observe(Promise.resolve({ size: now }));
  return {
    cuts,
    look,
    /** Makes it so long, which is seen. */
    resize: async (size: number) => {
      now = size;
      await look();
    },
    /** What a follower is told who asks from a position: as many bytes as there are, or that it was cut. */
    ask: async (from: number) => {
      await look();
      if (!cuts.isCutFor(from, now)) {
        cuts.readTo(now, from);
        return now - from;
      }
      cuts.notified(from);
      return 'cut';
    },
    /** The same for one who comes for the first time, or begins anew. */
    begin: () => {
      cuts.readTo(now, undefined);
      return now;
    },
  };
}

describe('a file that was cut while followers were away, and is longer than it was', () => {
  it('is so for one who stands where another has moved on from', async () => {
    const { begin, ask, resize } = watchedFile(10);
    begin();
    begin();
    await resize(20);
    expect(await ask(10)).toBe(10);
    await resize(0);
    await resize(30);
    expect(await ask(10)).toBe('cut');
    expect(await ask(20)).toBe('cut');
  });

  it('is so for one who stands where another has got to since, and not for that one', async () => {
    const { begin, ask, resize } = watchedFile(10);
    begin();
    begin();
    await resize(0);
    await resize(10);
    expect(await ask(10)).toBe('cut');
    begin();
    await resize(15);
    expect(await ask(10)).toBe('cut');
    expect(await ask(10)).toBe(5);
    expect(await ask(15)).toBe(0);
  });

  it('is so once for one who comes back to the same position of what is there now', async () => {
    const { begin, ask, resize } = watchedFile(10);
    begin();
    for (let cut = 0; cut < 3; cut++) {
      await resize(0);
      await resize(10);
      expect(await ask(10)).toBe('cut');
      expect(begin()).toBe(10);
      expect(await ask(10)).toBe(0);
      expect(await ask(10)).toBe(0);
    }
  });

  it('is so again for one who asks again, as the answer may be lost', async () => {
    const { begin, ask, resize } = watchedFile(10);
    begin();
    await resize(0);
    await resize(20);
    expect(await ask(10)).toBe('cut');
    expect(await ask(10)).toBe('cut');
  });

  it('is so for one who asked while it was shorter, and got no answer', async () => {
    const { ask, resize } = watchedFile(10);
    await resize(0);
    expect(await ask(10)).toBe('cut');
    await resize(20);
    expect(await ask(10)).toBe('cut');
  });

  it('is so for those who were there before a look at it began, and not for who has come meanwhile', async () => {
    const { cuts, begin } = watchedFile(10);
    begin();
    let seen: (state: { size: number }) => void = () => undefined;
    const look = cuts.observe(
      new Promise<{ size: number }>((resolve) => {
        seen = resolve;
      }),
    );
    cuts.readTo(12, undefined);
    await nextTurn();
    seen({ size: 5 });
    await look;
    expect(cuts.isCutFor(12, 20)).toBe(false);
    expect(cuts.isCutFor(10, 20)).toBe(true);
  });

  it('is not known to be so for those who have come back least lately, where very many do', async () => {
    const { cuts, resize } = watchedFile(2000);
    for (let position = 1000; position <= 2000; position++) cuts.readTo(position, undefined);
    await resize(0);
    await resize(3000);
    expect(cuts.isCutFor(1000, 3000)).toBe(false);
    expect(cuts.isCutFor(1001, 3000)).toBe(true);
  });
});
