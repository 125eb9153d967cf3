import { Command, InvalidArgumentError } from 'commander';
import { describe, expect, test } from 'vitest';
import {
  EXIT_USAGE,
  fitHelp,
  parseArguments,
  positiveSecondsOption,
  secondsOption,
} from '../../src/cli/parse-arguments.ts';
import { fakeIo } from '../support/programs/fake-io.ts';

/** Parses with a command that has a few options. */
function parse(...argv: string[]) {
  const { io, stdout, stderr } = fakeIo();
  const command = new Command('the-command')
    .argument('[URL]')
    .option('--root <DIR>', 'where', './data')
    .option('--log-level <LEVEL>', 'how much')
    .option('-v, --verbose', 'tell');
  const { exitCode } = parseArguments(command, argv, io);
  return {
    exitCode,
    options: command.opts(),
    args: command.args,
    stdout: stdout(),
    stderr: stderr(),
  };
}

describe('parseArguments', () => {
  test.each([[['-root=/srv']], [['-root', '/srv']], [['--root=/srv']], [['--root', '/srv']]])(
    'takes a long option as %j',
    (argv) => {
      expect(parse(...argv)).toMatchObject({ exitCode: undefined, options: { root: '/srv' }, stderr: '' });
    },
  );

  test('takes a value with an equals sign in it', () => {
    expect(parse('-root=/srv/a=b').options.root).toBe('/srv/a=b');
  });

  test('takes several forms together, and leaves arguments and short options as they are', () => {
    const { options, args } = parse('-v', '-root=/srv', '--log-level', 'warn', 'http://h/a');
    expect(options).toEqual({ root: '/srv', logLevel: 'warn', verbose: true });
    expect(args).toEqual(['http://h/a']);
  });

  test('leaves alone what stands after --', () => {
    expect(parse('--', '-root=/srv').args).toEqual(['-root=/srv']);
  });

  test.each(['-h', '--help', '-help'])('%s prints help on stdout and wants exit code 0', (option) => {
    const { exitCode, stdout, stderr } = parse(option);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('Usage: the-command');
    expect(stderr).toBe('');
  });

  test.each([[['-nonsense']], [['--nonsense=1']], [['-root']], [['one', 'two']]])(
    'a mistake (%j) is one line on stderr that begins with the name of the command, and the exit code for usage',
    (argv) => {
      const { exitCode, stdout, stderr } = parse(...argv);
      expect(exitCode).toBe(EXIT_USAGE);
      expect(stdout).toBe('');
      expect(stderr).toMatch(/^the-command: [^\n]+\n$/);
    },
  );

  test('a mistyped option is told with the one that is like it', () => {
    expect(parse('--rooot', 'x').stderr).toBe(
      "the-command: unknown option '--rooot' (Did you mean --root?)\n",
    );
  });

  test('does not change the arguments that it is given', () => {
    const argv = Object.freeze(['-root=/srv']) as string[];
    expect(parse(...argv).exitCode).toBeUndefined();
    expect(argv).toEqual(['-root=/srv']);
  });

  test('the value of an option may look like an option name with one dash', () => {
    expect(parse('-root', '-v').options).toEqual({ root: '-v' });
  });
});

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

describe('a number of seconds', () => {
  test.each([
    ['0', 0],
    ['1', 1],
    ['.5', 0.5],
    ['0.001', 0.001],
    ['86400', 86_400],
  ])('may be %s', (text, seconds) => {
    expect(secondsOption(text)).toBe(seconds);
  });

  test.each(['', '-1', '1.', '1e3', '0x10', 'soon', ' 1', 'Infinity', '86401'])(
    'must not be "%s"',
    (text) => {
      expect(() => secondsOption(text)).toThrow(InvalidArgumentError);
    },
  );

  test('that must be some is a millisecond at least', () => {
    expect(positiveSecondsOption('0.001')).toBe(0.001);
    for (const text of ['0', '0.0009', '-1']) {
      expect(() => positiveSecondsOption(text)).toThrow(InvalidArgumentError);
    }
  });
});
