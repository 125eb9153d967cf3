import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judge, type StreamAppend } from '../../../src/core/log/append-rules.ts';
import { Producers } from '../../../src/core/log/producers.ts';
import type { StreamState } from '../../../src/storage/records/stream-state.ts';
import {
  ContentTypeMismatchError,
  SequenceConflictError,
  StreamClosedError,
} from '../../../src/wire/errors.ts';
import { character } from '../../support/characters.ts';

const OPEN: StreamState = { version: 4, size: 10 };

const nothing: StreamAppend = {
  bytes: Buffer.alloc(0),
  contentType: undefined,
  seq: undefined,
  producer: undefined,
  close: false,
};

const some = (append: Partial<StreamAppend>): StreamAppend => ({
  ...nothing,
  bytes: Buffer.from('some'),
  ...append,
});

describe('an append to an open stream', () => {
  it('makes it as much longer as there are bytes, in the next version, and leaves what it was', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), fc.boolean(), (bytes, close) => {
        const before = { ...OPEN };
        const after = judge(before, new Producers(), undefined, some({ bytes: Buffer.from(bytes), close }));
        expect(after).toEqual({ version: 5, size: 10 + bytes.length, ...(close && { closed: true }) });
        expect(before).toEqual(OPEN);
      }),
    );
  });

  it.each([
    ['text/plain', 'Text/Plain; charset=utf-8', true],
    ['text/plain; charset=utf-8', 'text/plain', true],
    ['text/plain', 'text/html', false],
    ['text/plain', undefined, false],
    [undefined, 'text/html', true],
  ])('of the type %s is of the type %s: %s', (type, contentType, isTaken) => {
    const judged = () => judge(OPEN, new Producers(), type, some({ contentType }));
    if (isTaken) expect(judged()).toMatchObject({ size: 14 });
    else expect(judged).toThrow(ContentTypeMismatchError);
  });

  it('needs no type when it only closes', () => {
    expect(judge(OPEN, new Producers(), 'text/plain', { ...nothing, close: true })).toMatchObject({
      closed: true,
    });
  });

  it('has a Stream-Seq above the last one, in the order of its bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: character }), fc.string({ unit: character }), (last, seq) => {
        const judged = () => judge({ ...OPEN, seq: last }, new Producers(), undefined, some({ seq }));
        if (Buffer.compare(Buffer.from(seq), Buffer.from(last)) > 0) expect(judged()).toMatchObject({ seq });
        else expect(judged).toThrow(SequenceConflictError);
      }),
    );
  });

  it('that was made before is not made again, whatever its Stream-Seq', () => {
    const producers = new Producers([['p', 0, 3]]);
    const append = some({ producer: { id: 'p', epoch: 0, seq: 3 }, seq: 'a' });
    expect(judge({ ...OPEN, seq: 'b' }, producers, undefined, append)).toBeUndefined();
  });

  it('is remembered as the one that closed it', () => {
    const append = some({ producer: { id: 'p', epoch: 2, seq: 0 }, close: true });
    expect(judge(OPEN, new Producers(), undefined, append)).toMatchObject({ closedBy: ['p', 2, 0] });
  });
});

describe('an append to a closed stream', () => {
  const closed: StreamState = { ...OPEN, closed: true, closedBy: ['p', 1, 5] };
  const producers = new Producers([['p', 1, 5]]);

  it('is refused, and said to be at its end', () => {
    expect(() => judge(closed, producers, undefined, some({}))).toThrow(StreamClosedError);
    expect(() => judge(closed, producers, undefined, some({ close: true }))).toThrow(StreamClosedError);
    const next = some({ producer: { id: 'p', epoch: 1, seq: 6 } });
    expect(() => judge(closed, producers, undefined, next)).toThrow(StreamClosedError);
  });

  it('is made already when it only closes, or is the one that closed it', () => {
    expect(judge(closed, producers, undefined, { ...nothing, close: true })).toBeUndefined();
    const again = some({ producer: { id: 'p', epoch: 1, seq: 5 }, close: true });
    expect(judge(closed, producers, undefined, again)).toBeUndefined();
  });
});
