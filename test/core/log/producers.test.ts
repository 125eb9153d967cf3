import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ProducerRequest, Producers } from '../../../src/core/log/producers.ts';
import { InvalidRequestError, ProducerFencedError, ProducerGapError } from '../../../src/wire/errors.ts';

const request = fc.record({
  id: fc.constantFrom('a', 'b'),
  epoch: fc.nat({ max: 2 }),
  seq: fc.nat({ max: 3 }),
});

/** Takes a request as a stream does, and says what became of it. */
function take(producers: Producers, asked: ProducerRequest): 'taken' | 'repeated' | 'refused' {
  try {
    if (producers.isRepeated(asked)) return 'repeated';
    producers.set(asked.id, asked);
    return 'taken';
  } catch {
    return 'refused';
  }
}

describe('the requests of a producer', () => {
  it('count once and in order, whatever comes how often', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 60 }), (requests) => {
        const producers = new Producers();
        for (const id of ['a', 'b']) {
          const taken: ProducerRequest[] = [];
          for (const asked of requests.filter((each) => each.id === id)) {
            if (take(producers, asked) === 'taken') taken.push(asked);
          }
          for (const [at, { epoch, seq }] of taken.entries()) {
            const before = taken[at - 1];
            const follows = before?.epoch === epoch && before.seq + 1 === seq;
            const begins = seq === 0 && epoch > (before?.epoch ?? -1);
            expect(follows || begins).toBe(true);
          }
        }
      }),
    );
  });

  it('are judged alike by who remembers what was written down', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), request, (requests, next) => {
        const producers = new Producers();
        for (const asked of requests) take(producers, asked);
        const restored = new Producers(producers.entries());
        expect(restored.entries()).toEqual(producers.entries());
        expect(take(restored, next)).toBe(take(producers, next));
      }),
    );
  });

  it('are refused with what is wrong', () => {
    const producers = new Producers([['p', 3, 7]]);
    expect(() => producers.isRepeated({ id: 'p', epoch: 2, seq: 8 })).toThrow(ProducerFencedError);
    expect(() => producers.isRepeated({ id: 'p', epoch: 3, seq: 9 })).toThrow(ProducerGapError);
    expect(() => producers.isRepeated({ id: 'p', epoch: 4, seq: 1 })).toThrow(InvalidRequestError);
    expect(() => producers.isRepeated({ id: 'q', epoch: 0, seq: 1 })).toThrow(ProducerGapError);
  });
});

describe('what is remembered of producers', () => {
  it('is bounded: those that were quiet for longest are forgotten', () => {
    const producers = new Producers();
    for (let at = 0; at <= 10_000; at++) {
      producers.set(`p${at}`, { id: `p${at}`, epoch: 0, seq: 0 });
      producers.set('p0', { id: 'p0', epoch: 0, seq: at });
    }
    expect(producers.entries()).toHaveLength(10_000);
    expect([producers.get('p0')?.seq, producers.get('p1'), producers.get('p2')?.seq]).toEqual([
      10_000,
      undefined,
      0,
    ]);
  });

  it('is bounded, too, where their names are long', () => {
    const producers = new Producers();
    for (const letter of 'abc') {
      const id = letter.repeat(500_000);
      producers.set(id, { id, epoch: 0, seq: 0 });
    }
    expect(producers.entries().map(([id]) => id[0])).toEqual(['b', 'c']);
  });
});
