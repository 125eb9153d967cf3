import { describe, expect, test } from 'vitest';
import { fitHelp } from '../../src/cli/help-text.ts';

const HELP = `Usage: tool [-v] [-H HEADER]... [--token TOKEN] URL

Does what a tool does, and does it well.

Options:
  -v          tell more than anybody would want to read in a line of a terminal
`;

const MORE = `
The quick brown fox jumps
over the lazy dog.

Examples:
  tool http://localhost:8080/a-long-name-that-does-not-fit
`;

describe('a help text', () => {
  test('has 80 columns where no terminal shows it', () => {
    for (const columns of [undefined, 0]) expect(fitHelp(HELP, columns)).toBe(fitHelp(HELP, 80));
  });

  test('has paragraphs and a usage that fit, and lists and examples as they were', () => {
    expect(fitHelp(HELP, 30).split('\n')).toEqual([
      'Usage: tool [-v]',
      '       [-H HEADER]...',
      '       [--token TOKEN] URL',
      '',
      'Does what a tool does, and',
      'does it well.',
      '',
      'Options:',
      '  -v          tell more than anybody would want to read in a line of a terminal',
      '',
    ]);
  });

  test('is filled anew where there is more room, with its line ends at both ends', () => {
    expect(fitHelp(MORE, 60)).toBe(MORE.replace('jumps\nover', 'jumps over'));
  });

  test('keeps a word that is longer than the line', () => {
    expect(fitHelp('a-very-long-word and more', 8)).toBe('a-very-long-word\nand more');
  });
});
