import { expect, test } from 'vitest';
import { CopyLedger } from '../../../src/relay/copies/copy-ledger.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';

const [A, B] = [ResourcePath.parse('/a'), ResourcePath.parse('/b')];

const namesIn = ({ copies }: CopyLedger) => Array.from(copies, ({ path }) => path.toString());

test('what is there is counted, with a block for each, and what has gone is not', () => {
  const ledger = new CopyLedger(true);
  ledger.has(A, 0);
  ledger.has(B, 100);
  ledger.grown(B, 200);
  expect(ledger.bytes).toBe(2 * 4096 + 200);
  ledger.dropped(B);
  // What a pull tells at its end of a copy that has been dropped.
  ledger.grown(B, 200);
  ledger.read(B);
  ledger.dropped(B);
  expect([ledger.bytes, namesIn(ledger)]).toEqual([4096, ['/a']]);
  ledger.has(A, 1);
  expect(ledger.bytes).toBe(4097);
});

test('those come first that were read longest ago', () => {
  const ledger = new CopyLedger(true);
  ledger.has(A, 1);
  ledger.has(B, 1);
  ledger.read(A);
  expect(namesIn(ledger)).toEqual(['/b', '/a']);
});

test('nothing is remembered when nobody wants to know', () => {
  const ledger = new CopyLedger(false);
  ledger.has(A, 1);
  ledger.grown(A, 2);
  expect([ledger.bytes, [...ledger.copies]]).toEqual([0, []]);
});
