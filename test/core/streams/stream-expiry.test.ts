import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  accessToleranceMs,
  canExpire,
  expiryMs,
  isExpired,
} from '../../../src/core/streams/stream-expiry.ts';
import type { StreamState } from '../../../src/storage/records/stream-state.ts';

const NOON_MS = Date.UTC(2026, 10, 28, 12);
const state = (more: Partial<StreamState>): StreamState => ({ version: 1, size: 0, ...more });

describe('a stream', () => {
  it('that is to live for some time expires so long after it was used last', () => {
    expect(expiryMs(state({ ttlSeconds: 60 }), NOON_MS)).toBe(NOON_MS + 60_000);
  });

  it('that is to expire at a time does so whenever it was used, and whatever the zone that the time was given in', () => {
    const expiresAt = '2026-11-28T14:30:00+02:00';
    expect(expiryMs(state({ expiresAt }), 0)).toBe(NOON_MS + 1_800_000);
    expect(expiryMs(state({ expiresAt }), NOON_MS * 2)).toBe(NOON_MS + 1_800_000);
  });

  it('of which both is said expires at the earlier one', () => {
    const both = state({ ttlSeconds: 60, expiresAt: '2026-11-28T12:00:30Z' });
    expect(expiryMs(both, NOON_MS)).toBe(NOON_MS + 30_000);
    expect(expiryMs(both, NOON_MS - 50_000)).toBe(NOON_MS + 10_000);
  });

  it('of which neither is said never expires', () => {
    expect(expiryMs(state({}), NOON_MS)).toBeUndefined();
    expect(isExpired(state({}), 0)).toBe(false);
    expect([canExpire(state({})), canExpire(state({ ttlSeconds: 0 }))]).toEqual([false, true]);
  });

  it('has expired in the millisecond for which that is said, and not before', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: NOON_MS });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const ttl = state({ ttlSeconds: 60 });
    expect([isExpired(ttl, NOON_MS - 60_000), isExpired(ttl, NOON_MS - 59_999)]).toEqual([true, false]);
  });
});

it('what the disk says of the last access counts only where reading makes a stream live longer', () => {
  expect(accessToleranceMs(state({ expiresAt: '2026-11-28T12:00:00Z' }))).toBeUndefined();
  expect(accessToleranceMs(state({ ttlSeconds: 100 }))).toBe(5000);
});
