import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type TurnWriter, WriteTurns } from '../../src/storage/write-turns.ts';

/** A clock that stands still until it is moved. */
function stoppedClock(): { nowMs: number } {
  const clock = { nowMs: 1_000_000 };
  const spy = vi.spyOn(performance, 'now').mockImplementation(() => clock.nowMs);
  onTestFinished(() => spy.mockRestore());
  return clock;
}

/** Something in line that takes so long. */
function take(turns: WriteTurns, clock: { nowMs: number }, durationMs: number): void {
  turns.inLine(() => {
    clock.nowMs += durationMs;
  });
}

describe('the end of a turn', () => {
  test('is when all write who have asked for it, once and in order, and those who ask meanwhile', async () => {
    const turns = new WriteTurns();
    const written: string[] = [];
    const late: TurnWriter = { flush: () => written.push('late') };
    const first: TurnWriter = {
      flush: () => {
        written.push('first');
        turns.schedule(late);
      },
    };
    turns.schedule(first);
    turns.schedule({ flush: () => written.push('second') });
    turns.schedule(first);
    expect(written).toEqual([]);
    await nextTurn();
    expect(written).toEqual(['first', 'second', 'late']);
    await nextTurn();
    expect(written).toHaveLength(3);
  });

  test('lets everybody else have a turn when the writes take long', async () => {
    const turns = new WriteTurns();
    const clock = stoppedClock();
    let written = 0;
    const slow = () => {
      written++;
      clock.nowMs += 6;
    };
    for (let i = 0; i < 5; i++) turns.schedule({ flush: slow });
    const counts: number[] = [];
    while (written < 5) {
      await nextTurn();
      counts.push(written);
    }
    expect(counts).toEqual([2, 4, 5]);
  });
});

describe('what is written in line', () => {
  test('is little at a time', () => {
    const turns = new WriteTurns();
    expect([turns.isInLine(65_536), turns.isInLine(65_537)]).toEqual([true, false]);
  });

  test('is nothing for a second after the disk was slow, and for longer when it is slow again and again', () => {
    const clock = stoppedClock();
    const turns = new WriteTurns();
    take(turns, clock, 10);
    expect(turns.isInLine(1)).toBe(true);
    for (const pauseMs of [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]) {
      take(turns, clock, 11);
      clock.nowMs += pauseMs - 1;
      expect(turns.isInLine(1)).toBe(false);
      clock.nowMs++;
      expect(turns.isInLine(1)).toBe(true);
    }
    // It was quick for as long as that.
    clock.nowMs += 60_001;
    take(turns, clock, 11);
    clock.nowMs += 1000;
    expect(turns.isInLine(1)).toBe(true);
  });

  test('is nothing as long as threads are held up, too, but for one try a minute', async () => {
    const clock = stoppedClock();
    const turns = new WriteTurns();
    const byThread = (durationMs: number) =>
      turns.byThread(async () => {
        clock.nowMs += durationMs;
      });
    await byThread(50);
    expect(turns.isInLine(1)).toBe(true);
    take(turns, clock, 50);
    for (let i = 0; i < 60; i++) {
      await byThread(50);
      clock.nowMs += 940;
      expect(turns.isInLine(1)).toBe(false);
    }
    clock.nowMs += 1000;
    expect(turns.isInLine(1)).toBe(true);
    take(turns, clock, 50);
    await byThread(5);
    clock.nowMs += 1995;
    expect(turns.isInLine(1)).toBe(true);
  });

  test('is slow also when it fails', () => {
    const clock = stoppedClock();
    const turns = new WriteTurns();
    const failing = () => {
      clock.nowMs += 50;
      throw new Error('EIO');
    };
    expect(() => turns.inLine(failing)).toThrow('EIO');
    expect(turns.isInLine(1)).toBe(false);
  });
});
