import { describe, expect, it } from 'vitest';
import type { Resource } from '../../../src/core/resource.ts';
import {
  assertMatches,
  type CreateRequest,
  type Inherited,
  initialState,
} from '../../../src/core/streams/create-request.ts';
import type { StreamState } from '../../../src/storage/records/stream-state.ts';
import { StreamConflictError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';

const NOTHING: CreateRequest = {
  contentType: undefined,
  ttlSeconds: undefined,
  expiresAt: undefined,
  isClosed: false,
  fork: undefined,
  isUpload: false,
};
const request = (more: Partial<CreateRequest> = {}): CreateRequest => ({ ...NOTHING, ...more });
const origin = { path: 'source', fingerprint: '1-1', offset: 'o', subOffset: 2, inherited: [] };
const inherited = (expiry: Inherited['expiry'] = {}): Inherited => ({
  source: {} as Resource,
  origin,
  type: 'text/plain',
  fileType: undefined,
  expiry,
});
const fork = { source: ResourcePath.parse('/source'), offset: 'o', subOffset: 2 };

describe('a new stream', () => {
  it('is what was asked for, and says nothing of what was not', () => {
    expect(initialState(request(), 3, undefined)).toEqual({ version: 1, size: 3 });
    const all = { contentType: 'text/csv', ttlSeconds: 5, expiresAt: '2026-11-28T12:00:00Z' };
    expect(initialState(request({ ...all, isClosed: true }), 0, undefined)).toEqual({
      version: 1,
      size: 0,
      closed: true,
      ...all,
    });
  });

  it('that is a fork has the type and the end of its source, unless it asks for others', () => {
    const ttl = inherited({ ttlSeconds: 60 });
    expect(initialState(request({ fork }), 3, ttl)).toEqual({
      version: 1,
      size: 3,
      contentType: 'text/plain',
      ttlSeconds: 60,
      origin,
    });
    const own = initialState(request({ fork, contentType: 'text/csv', expiresAt: 'then' }), 3, ttl);
    expect(own).toEqual({ version: 1, size: 3, contentType: 'text/csv', expiresAt: 'then', origin });
  });

  it('that is a fork of a file has the type that an append has given that, and is no stream by it', () => {
    const file = { ...inherited(), type: undefined, fileType: 'text/html' };
    expect(initialState(request({ fork }), 3, file)).toEqual({
      version: 1,
      size: 3,
      fileType: 'text/html',
      origin,
    });
    const stream = { version: 1, size: 3, contentType: 'text/csv', origin };
    expect(initialState(request({ fork, contentType: 'text/csv' }), 3, file)).toEqual(stream);
  });
});

describe('a request for a stream that is there', () => {
  const there: StreamState = { version: 4, size: 9, contentType: 'text/plain', ttlSeconds: 60 };

  it('matches when it would make the same one, whatever has been appended', () => {
    assertMatches(there, request({ contentType: 'Text/Plain', ttlSeconds: 60 }));
    assertMatches(there, request({ ttlSeconds: 60 }));
    assertMatches({ ...there, closed: true }, request({ ttlSeconds: 60, isClosed: true }));
    assertMatches({ ...there, origin }, request({ fork }));
  });

  it('matches what an append has given the type that it asks for, and conflicts with any other', () => {
    const file: StreamState = { version: 0, size: 9, fileType: 'text/html' };
    assertMatches(file, request({ contentType: 'text/html' }));
    assertMatches(file, request());
    expect(() => assertMatches(file, request({ contentType: 'text/plain' }))).toThrow(StreamConflictError);
  });

  it.each<[string, Partial<StreamState>, Partial<CreateRequest>]>([
    ['another type', {}, { contentType: 'text/csv', ttlSeconds: 60 }],
    ['another parameter', {}, { contentType: 'text/plain; charset=utf-8', ttlSeconds: 60 }],
    ['another time to live', {}, { ttlSeconds: 61 }],
    ['no time to live', {}, {}],
    ['another end', {}, { ttlSeconds: 60, expiresAt: '2026-11-28T12:00:00Z' }],
    ['a closed one', {}, { ttlSeconds: 60, isClosed: true }],
    ['an open one', { closed: true }, { ttlSeconds: 60 }],
    ['a fork', {}, { ttlSeconds: 60, fork }],
    ['none that is forked', { origin }, { ttlSeconds: 60 }],
    ['a fork from another place', { origin }, { fork: { ...fork, offset: 'p' } }],
    ['a fork from some bytes further on', { origin }, { fork: { ...fork, subOffset: 3 } }],
    ['a fork of another stream', { origin }, { fork: { ...fork, source: ResourcePath.parse('/other') } }],
    ['a fork with an end of its own', { origin }, { fork, ttlSeconds: 59 }],
  ])('conflicts when it asks for %s', (_what, more, asked) => {
    const state = { ...there, ...more };
    expect(() => assertMatches(state, request(asked))).toThrow(StreamConflictError);
  });
});
