import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { rowsOf } from '../../../src/page/log/rows.ts';
import { OracleTerminal, shownCells } from '../../support/terminal/oracle.ts';

/** What programs wrote to a terminal of 100 columns and 40 rows. */
const RECORDINGS = path.join(import.meta.dirname, '../../fixtures/terminal');

describe('what a program has written to a terminal', () => {
  it.each(readdirSync(RECORDINGS))('is shown as a terminal shows it at the end: %s', async (name) => {
    const bytes = readFileSync(path.join(RECORDINGS, name));
    const { rows, fullScreen } = rowsOf(bytes, 0);
    expect(shownCells(rows)).toEqual(await new OracleTerminal(40, 100).show(bytes));
    expect(rows.flatMap(({ spans }) => spans).filter(({ chip }) => chip)).toEqual([]);
    expect(fullScreen).toBe(false);
  });
});
