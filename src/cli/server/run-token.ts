import { Command, InvalidArgumentError, Option } from 'commander';
import type { Right } from '../../rights/access.ts';
import { type AuthDocument, parseAuthFile, readAuthFile, TOKEN_NAME } from '../../rights/auth-file.ts';
import { editAuthFile } from '../../rights/auth-file-edit.ts';
import { mistakeInPattern } from '../../rights/path-pattern.ts';
import { RIGHTS, type Rule } from '../../rights/rules.ts';
import { hashOfToken, makeToken } from '../../rights/token.ts';
import { isDay } from '../../wire/timestamp.ts';
import { type CommandIo, messageOf } from '../io/io.ts';
import { EXIT_USAGE, parseArguments } from '../parse-arguments.ts';

const EXIT_FAILURE = 1;

const NAME = 'httpfstream-server token';

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** The heading of the list, and what is in a line of it. */
const COLUMNS = ['NAME', 'EXPIRES', 'RIGHTS', 'PATHS'];

interface Options {
  auth: string;
  /** Of `add`. */
  rights?: readonly Right[];
  paths?: readonly string[];
  expires?: Date;
  next?: true;
}

/**
 * Runs `httpfstream-server token add`, `list` or `revoke`: edits the file of `-auth`.
 *
 * @param argv arguments behind `token`
 * @returns the exit code: 0 when it is done, 1 when it cannot be, 2 for wrong usage
 */
export async function runToken(argv: readonly string[], io: CommandIo): Promise<number> {
  const [name, ...others] = argv;
  const command = commandCalled(name);
  const { exitCode } = parseArguments(command, command.name() === NAME ? argv : others, io);
  if (exitCode !== undefined) return exitCode;
  const options = command.opts<Options>();
  if (options.paths === undefined && options.rights?.some((right) => right !== 'admin')) {
    io.stderr.write(`${command.name()}: --paths is missing: only admin has none\n`);
    return EXIT_USAGE;
  }
  const [tokenName = ''] = command.args;
  try {
    if (name === 'add') await add(tokenName, options, io);
    else if (name === 'revoke') await revoke(tokenName, options.auth);
    else await list(options.auth, io);
    return 0;
  } catch (error) {
    io.stderr.write(`${command.name()}: ${messageOf(error)}\n`);
    return EXIT_FAILURE;
  }
}

function commandCalled(name = ''): Command {
  const command = new Command(['add', 'list', 'revoke'].includes(name) ? `${NAME} ${name}` : NAME)
    .helpOption('-h, --help', 'show this help')
    .allowExcessArguments(false);
  switch (name) {
    case 'add':
      return addAuthOption(command)
        .description('Makes a token, adds it to the file, and shows it this once.')
        .argument('<NAME>', 'name for it, of letters, digits, "_", "." and "-"', tokenNameArgument)
        .addOption(
          new Option('--rights <RIGHT>', `list with commas of ${RIGHTS.join(', ')}`)
            .argParser(rightsOption)
            .makeOptionMandatory(),
        )
        .addOption(
          new Option(
            '--paths <PATTERN>',
            'for which paths: * is any run in a name, /** all below; may be repeated, or a list with commas',
          ).argParser(pathsOption),
        )
        .addOption(
          new Option(
            '--expires <TIME>',
            'when it ends: after so many s, m, h, d or w, as 30d, or a date as 2030-01-31T12:00:00Z (default: never)',
          ).argParser(expiresOption),
        )
        .option('--next', 'add it beside what the name has already, which counts until it expires')
        .addHelpText('after', HELP_OF_ADD);
    case 'list':
      return addAuthOption(command).description(
        'Lists the tokens and what they may do, not the tokens themselves.',
      );
    case 'revoke':
      return addAuthOption(command)
        .description('Takes away all tokens of a name: the server ends what it was used for within seconds.')
        .argument('<NAME>', 'its name');
    default:
      return command
        .description('Edits the file that says who may do what: add, list or revoke a token.')
        .usage('add|list|revoke [options]')
        .argument('<COMMAND>', 'add, list or revoke; each has a help of its own', () => {
          throw new InvalidArgumentError('It must be add, list or revoke.');
        });
  }
}

function addAuthOption(command: Command): Command {
  return command.addOption(
    new Option('--auth <FILE>', 'the file, as -auth of the server has it')
      .env('HTTPFSTREAM_AUTH')
      .makeOptionMandatory(),
  );
}

async function add(
  name: string,
  { auth, rights = [], paths, expires, next }: Options,
  io: CommandIo,
): Promise<void> {
  const token = makeToken();
  const rule: Rule = { rights, ...(paths !== undefined && { paths }) };
  await editAuthFile(auth, ({ tokens = [], ...others }) => {
    if (tokens.some((other) => other.name === name) !== (next === true)) {
      throw new Error(next ? `there is no token ${name} yet` : `there is a token ${name} already (--next)`);
    }
    const entry = {
      name,
      hash: hashOfToken(token),
      ...(expires !== undefined && { expires: expires.toISOString() }),
      rules: [rule],
    };
    return { ...others, tokens: [...tokens, entry] };
  });
  io.stderr.write(`${name} was added to ${auth}. This is its token, which is not shown again:\n`);
  io.stdout.write(`${token}\n`);
}

async function revoke(name: string, auth: string): Promise<void> {
  // A file that is missing is not made.
  await readAuthFile(auth, { isObeyed: false });
  await editAuthFile(auth, ({ tokens = [], ...others }) => {
    const left = tokens.filter((other) => other.name !== name);
    if (left.length === tokens.length) throw new Error(`there is no token ${name} in ${auth}`);
    return { ...others, tokens: left };
  });
}

async function list(auth: string, io: CommandIo): Promise<void> {
  const lines = [
    COLUMNS,
    ...linesOf(await parseAuthFile(await readAuthFile(auth, { isObeyed: false }), auth)),
  ];
  const widths = COLUMNS.map((_, i) => Math.max(...lines.map((line) => (line[i] ?? '').length)));
  for (const line of lines) {
    const padded = line.map((text, i) => text.padEnd(widths[i] ?? 0));
    io.stdout.write(`${padded.join('  ').trimEnd()}\n`);
  }
}

/** A line for each rule; what is in more than one of them is only in the first. */
function linesOf({ anonymous = [], tokens = [] }: AuthDocument): string[][] {
  const lines = (name: string, expires: string, rules: readonly Rule[]) =>
    (rules.length === 0 ? [undefined] : rules).map((rule, i) => [
      i === 0 ? name : '',
      i === 0 ? expires : '',
      rule?.rights.join() ?? '-',
      rule?.paths?.join() ?? '-',
    ]);
  return [
    ...(anonymous.length === 0 ? [] : lines('(anonymous)', '-', anonymous)),
    ...tokens.flatMap(({ name, expires, rules }) => lines(name, shownExpiry(expires), rules)),
  ];
}

function shownExpiry(expires: string | undefined): string {
  if (expires === undefined) return 'never';
  return Date.parse(expires) <= Date.now() ? `${expires} (over)` : expires;
}

function tokenNameArgument(text: string): string {
  if (TOKEN_NAME.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 64 letters, digits, "_", "." or "-".');
}

function rightsOption(text: string): readonly Right[] {
  const rights = itemsOf(text);
  if (rights.length > 0 && rights.every((right): right is Right => RIGHTS.some((known) => known === right)))
    return rights as Right[];
  throw new InvalidArgumentError(`It must be of ${RIGHTS.join(', ')}.`);
}

/** @param others from earlier occurrences of the option */
function pathsOption(text: string, others: readonly string[] = []): readonly string[] {
  const paths = itemsOf(text);
  // As of a variable that is not set.
  if (paths.length === 0) throw new InvalidArgumentError('It must be a pattern of paths.');
  const mistake = paths.map(mistakeInPattern).find((found) => found !== undefined);
  if (mistake !== undefined) throw new InvalidArgumentError(`It ${mistake}.`);
  return [...others, ...paths];
}

function expiresOption(text: string): Date {
  const [, count, unit = ''] = /^([1-9]\d{0,5})([smhdw])$/.exec(text) ?? [];
  const date =
    count === undefined ? new Date(text) : new Date(Date.now() + Number(count) * (UNIT_MS[unit] ?? 0));
  if (date.getTime() > Date.now() && (count !== undefined || isDay(text.slice(0, 10)))) return date;
  throw new InvalidArgumentError('It must look like 12h, 30d or 2030-01-31T12:00:00Z, and be in the future.');
}

function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

const HELP_OF_ADD = `
The token alone goes to standard output. The file has only its hash, is made if it is missing, and is for nobody but its
owner. A server that runs reads it within a second.

Examples:
  httpfstream-server token add ci --auth auth.json --rights append --paths '/builds/**' --expires 30d > ci.token
  httpfstream-server token add reader --auth auth.json --rights follow,list --paths '/builds/**,/public/**'`;
