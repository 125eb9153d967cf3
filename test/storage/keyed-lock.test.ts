import { expect, it } from 'vitest';
import { KeyedLock } from '../../src/storage/keyed-lock.ts';

/** A lock, and a way to act under it until one is told to end. */
function recordedLock() {
  const lock = new KeyedLock();
  const begun: string[] = [];
  const begin = (key: string, name: string) => {
    let settle: (action: () => string) => void = () => undefined;
    const result = lock.run(key, () => {
      begun.push(name);
      return new Promise<string>((resolve, reject) => {
        settle = (action) => {
          try {
            resolve(action());
          } catch (error) {
            reject(error);
          }
        };
      });
    });
    const fail = () => {
      throw new Error(name);
    };
    return { result, end: () => settle(() => name), fail: () => settle(fail) };
  };
  return { lock, begun, begin };
}

const nextTurn = () => new Promise(setImmediate);

it('those with the same key act one after the other, in the order in which they came; others at once', async () => {
  const { begun, begin } = recordedLock();
  const [first, second, other] = [begin('a', '1'), begin('a', '2'), begin('b', '3')];
  await nextTurn();
  expect(begun).toEqual(['1', '3']);
  first.end();
  expect(await first.result).toBe('1');
  await nextTurn();
  expect(begun).toEqual(['1', '3', '2']);
  second.end();
  other.end();
  expect(await Promise.all([second.result, other.result])).toEqual(['2', '3']);
});

it('a failure is told to who caused it, and to nobody else', async () => {
  const { lock, begin } = recordedLock();
  const [first, second] = [begin('a', '1'), begin('a', '2')];
  await nextTurn();
  first.fail();
  await expect(first.result).rejects.toThrow('1');
  await nextTurn();
  const settled = lock.settled('a');
  second.fail();
  await expect(second.result).rejects.toThrow('2');
  await settled;
});

it('waits for those who have come by now: of one key, or all', async () => {
  const { lock, begin } = recordedLock();
  const [first, other] = [begin('a', '1'), begin('b', '2')];
  const settled: string[] = [];
  const ofOne = lock.settled('a').then(() => settled.push('a'));
  const ofAll = lock.allSettled().then(() => settled.push('all'));
  await nextTurn();
  expect(settled).toEqual([]);
  first.end();
  await ofOne;
  await nextTurn();
  expect(settled).toEqual(['a']);
  other.end();
  await ofAll;
  await Promise.all([first.result, other.result, lock.settled('nobody'), lock.allSettled()]);
});
