import { PassThrough, Readable } from 'node:stream';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import type { CommandIo } from '../../src/cli/io/io.ts';
import { EXIT_USAGE, parseArguments } from '../../src/cli/parse-arguments.ts';

/** Parses with a command that has a few options. */
function parse(...argv: string[]) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const io: CommandIo = {
    stdin: Readable.from([]),
    stdout,
    stderr,
    ignoresHangUp: false,
    onStopSignal: () => () => undefined,
    onUncaught: () => () => undefined,
    exit: () => undefined,
  };
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
    stdout: String(stdout.read() ?? ''),
    stderr: String(stderr.read() ?? ''),
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
