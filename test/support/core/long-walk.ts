import { onTestFinished, vi } from 'vitest';
import { Root } from '../../../src/storage/root/root.ts';

/** How often a walk comes by each name: more names than a start waits for. */
const TIMES = 10_000;

/**
 * Has all walks over roots take as long as over very many files, until the test is over.
 *
 * @returns has them end, and later ones be as long as they are
 */
export function makeWalksLong(): () => void {
  const { walk } = Root.prototype;
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const walking = vi.spyOn(Root.prototype, 'walk').mockImplementation(async function* (this: Root, report) {
    for await (const name of walk.call(this, report)) for (let i = 0; i < TIMES; i++) yield name;
    await ended;
  });
  const over = () => {
    walking.mockRestore();
    end();
  };
  onTestFinished(over);
  return over;
}
