import { describe, expect, test } from 'vitest';
import { BodyBudget, type BodyShare } from '../../../src/server/request/body-budget.ts';
import { AppendBusyError, BodyTimeoutError, type HttpfstreamError } from '../../../src/wire/errors.ts';

/** A budget whose time is set by hand: 1,000 bytes, 200 of them for beginnings of up to 50. */
function budgetAt(clock: { ms: number }): BodyBudget {
  return new BodyBudget({
    maxBytes: 1000,
    reservedBytes: 200,
    smallBytes: 50,
    quickBytes: 100,
    graceMs: 10_000,
    minBytesPerSecond: 10,
    now: () => clock.ms,
  });
}

/** A body under way. */
class Body {
  readonly share: BodyShare;
  lost: HttpfstreamError | undefined;

  constructor(budget: BodyBudget) {
    this.share = budget.share();
    this.share.open((error) => {
      this.lost = error;
    });
  }

  take(bytes: number): boolean {
    return this.share.take(bytes);
  }
}

describe('a budget', () => {
  test('refuses a body when those that have all of it come quickly', () => {
    const clock = { ms: 0 };
    const budget = budgetAt(clock);
    const first = new Body(budget);
    expect(first.take(800)).toBe(true);
    const second = new Body(budget);
    expect(second.take(60)).toBe(false);
    expect(second.lost).toBeInstanceOf(AppendBusyError);
    expect(first.lost).toBeUndefined();
  });

  test.each([
    ['brings nothing', 0],
    ['drips', 1],
  ])('takes the room of a body that %s, the largest first, and of no other', (_, drip) => {
    const clock = { ms: 0 };
    const budget = budgetAt(clock);
    const [small, large, quick] = [new Body(budget), new Body(budget), new Body(budget)];
    small.take(100);
    large.take(500);
    quick.take(200);
    for (clock.ms = 500; clock.ms <= 3000; clock.ms += 500) {
      if (drip > 0) large.take(drip);
      quick.share.release();
      quick.share.open((error) => {
        quick.lost = error;
      });
      quick.take(150);
    }
    const asking = new Body(budget);
    expect(asking.take(300)).toBe(true);
    expect([small.lost, quick.lost, asking.lost]).toEqual([undefined, undefined, undefined]);
    expect(large.lost).toBeInstanceOf(AppendBusyError);
    // Its room is given back once, whoever releases it again.
    large.share.release();
    expect(budget.share().bytes).toBe(0);
    expect(new Body(budget).take(500)).toBe(false);
  });

  test('lets small bodies in when there is room for nothing else', () => {
    const clock = { ms: 0 };
    const budget = budgetAt(clock);
    expect(new Body(budget).take(800)).toBe(true);
    const small = [1, 2, 3, 4].map(() => new Body(budget));
    expect(small.map((body) => body.take(50))).toEqual([true, true, true, true]);
    expect(new Body(budget).take(50)).toBe(false);
    clock.ms = 2000;
    expect(new Body(budget).take(50)).toBe(true);
  });

  test('keeps what is whole, however long it takes to be appended, until it is released', () => {
    const clock = { ms: 0 };
    const budget = budgetAt(clock);
    const whole = new Body(budget);
    whole.take(800);
    whole.share.complete();
    clock.ms = 60_000;
    expect(new Body(budget).take(60)).toBe(false);
    expect(whole.lost).toBeUndefined();
    whole.share.release();
    expect(new Body(budget).take(800)).toBe(true);
  });

  test('bounds the time of a body by its length', () => {
    const clock = { ms: 0 };
    const body = new Body(budgetAt(clock));
    expect(body.take(20)).toBe(true);
    // 10 s, and 2 s for what has come.
    clock.ms = 11_999;
    expect(body.take(1)).toBe(true);
    clock.ms = 12_101;
    expect(body.take(1)).toBe(false);
    expect(body.lost).toBeInstanceOf(BodyTimeoutError);
  });
});
