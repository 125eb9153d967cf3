import { describe, expect, it } from 'vitest';
import { type StreamState, wordsOf } from '../../../src/page/state/stream-state.ts';

const NOW = 1_800_000_000_000;

describe('the words for a state', () => {
  it('call nothing but a clean end without a failed command done', () => {
    const ends: StreamState[] = [
      { kind: 'ended', reason: 'finished' },
      { kind: 'ended', reason: 'finished', status: 0 },
      { kind: 'ended', reason: 'finished', status: 3 },
      { kind: 'ended', reason: 'interrupted' },
      { kind: 'ended', reason: 'deleted' },
      { kind: 'ended', reason: 'truncated' },
    ];
    const tones = ends.map((state) => wordsOf(state, NOW).tone);
    expect(tones).toEqual(['done', 'done', 'bad', 'bad', 'bad', 'bad']);
  });

  it('say how a command ended, and why an append did', () => {
    expect(wordsOf({ kind: 'ended', reason: 'finished', status: 3 }, NOW).word).toBe('Finished, exit 3');
    const { meaning } = wordsOf({ kind: 'ended', reason: 'interrupted', detail: 'The disk is full.' }, NOW);
    expect(meaning).toContain('The disk is full.');
  });

  it('count down to the next attempt, and never to zero', () => {
    const words = (at?: number) => wordsOf({ kind: 'reconnecting', at }, NOW).word;
    expect(words(NOW + 3500)).toBe('Reconnecting in 4 s');
    expect(words(NOW - 10)).toBe('Reconnecting in 1 s');
    expect(words()).toBe('Reconnecting');
  });
});
