import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Ajv, type ErrorObject } from 'ajv';
import json, { type JSONPath, type ParseError } from 'jsonc-parser';
import { InvalidAuthFileError } from '../wire/errors.ts';
import { isTimestamp } from '../wire/timestamp.ts';
import { lineAndColumn, pointerTo, repeatedMember } from './json-text.ts';
import { mistakeInPattern } from './path-pattern.ts';
import { RIGHTS, type Rule } from './rules.ts';

/** A token, as the file has it. */
export interface TokenEntry {
  /** Whose it is: who gets a new one before the old one expires has two for a while. */
  readonly name: string;
  /** Of {@link hashOfToken}. */
  readonly hash: string;
  /** A date and time as RFC 3339 has it; undefined: it never expires. */
  readonly expires?: string;
  readonly rules: readonly Rule[];
}

/** What is in the file. */
export interface AuthDocument {
  readonly $schema?: string;
  /** What everybody may do. */
  readonly anonymous?: readonly Rule[];
  readonly tokens?: readonly TokenEntry[];
}

/** The form of a token's name. */
export const TOKEN_NAME = /^[\w.-]{1,64}$/;

const SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  additionalProperties: false,
  properties: {
    $schema: { type: 'string' },
    anonymous: { $ref: '#/definitions/rules' },
    tokens: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'hash', 'rules'],
        properties: {
          name: { type: 'string', pattern: TOKEN_NAME.source },
          hash: { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' },
          expires: { type: 'string', format: 'date-time' },
          rules: { $ref: '#/definitions/rules' },
        },
      },
    },
  },
  definitions: {
    rules: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['rights'],
        properties: {
          rights: { type: 'array', minItems: 1, items: { enum: RIGHTS } },
          paths: { type: 'array', minItems: 1, items: { type: 'string' } },
        },
      },
    },
  },
};

const conforms = new Ajv().addFormat('date-time', isTimestamp).compile<AuthDocument>(SCHEMA);

const { O_NONBLOCK, O_RDONLY } = constants;

/** Something that is wrong, and where. */
interface Mistake {
  /** The names of members and numbers of items that lead there. */
  path: JSONPath;
  message: string;
}

/**
 * Reads the file, and refuses one that others might read or change, or that is something else.
 *
 * @param options.isObeyed whether the reader goes by it; else root may read it, whosever it is. Default true
 * @throws {InvalidAuthFileError} when it is no file, or not private
 * @throws the system's error
 */
export async function readAuthFile(
  file: string,
  { isObeyed = true }: { isObeyed?: boolean } = {},
): Promise<string> {
  // A pipe would be waited for, and no other change be read meanwhile.
  const handle = await open(file, O_RDONLY | O_NONBLOCK);
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new InvalidAuthFileError(`${file} must be a file`);
    assertPrivate(file, stat.mode, stat.uid, isObeyed);
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

/**
 * Parses what is in the file.
 *
 * @param file is named in errors
 * @throws {InvalidAuthFileError} that says where it is wrong
 */
export async function parseAuthFile(text: string, file: string): Promise<AuthDocument> {
  const value = jsonIn(text);
  if (value === undefined) {
    throw new InvalidAuthFileError(`${file}${placeOfSyntaxError(text)}: this is not JSON`);
  }
  const repeated = repeatedMember(text);
  if (repeated !== undefined) throw new InvalidAuthFileError(`${file}${repeated}`);
  const mistake = conforms(value) ? mistakeIn(value) : mistakeOf(conforms.errors?.[0] as ErrorObject);
  if (mistake === undefined) return value as AuthDocument;
  const { path, message } = mistake;
  throw new InvalidAuthFileError(`${file}${placeOf(text, path)}: ${pointerTo(path)} ${message}`);
}

/** Undefined when it is none: what the system says of that quotes the file, and would be logged. */
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What the schema does not say. */
function mistakeIn({ anonymous = [], tokens = [] }: AuthDocument): Mistake | undefined {
  const hashes = new Set<string>();
  for (const [i, { hash, rules }] of tokens.entries()) {
    const path = ['tokens', i];
    if (hashes.has(hash)) return { path: [...path, 'hash'], message: 'must not be that of another token' };
    hashes.add(hash);
    const mistake = mistakeInRules(rules, [...path, 'rules']);
    if (mistake !== undefined) return mistake;
  }
  return mistakeInRules(anonymous, ['anonymous']);
}

function mistakeInRules(rules: readonly Rule[], path: JSONPath): Mistake | undefined {
  for (const [i, { rights, paths }] of rules.entries()) {
    if (paths === undefined && rights.some((right) => right !== 'admin')) {
      return { path: [...path, i], message: 'must have paths: only admin has none' };
    }
    for (const [j, pattern] of (paths ?? []).entries()) {
      const message = mistakeInPattern(pattern);
      if (message !== undefined) return { path: [...path, i, 'paths', j], message };
    }
  }
  return undefined;
}

function mistakeOf({ instancePath, message = 'is wrong', params }: ErrorObject): Mistake {
  const { additionalProperty, allowedValues } = params as {
    additionalProperty?: string;
    allowedValues?: string[];
  };
  const what = additionalProperty === undefined ? allowedValues?.join(', ') : `"${additionalProperty}"`;
  return {
    path: instancePath.split('/').slice(1).map(nameOrNumber),
    message: what === undefined ? message : `${message}: ${what}`,
  };
}

function nameOrNumber(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}

/** The line and column of what is at a path. */
function placeOf(text: string, path: JSONPath): string {
  const root = json.parseTree(text);
  const node = root && json.findNodeAtLocation(root, path);
  return node === undefined ? '' : lineAndColumn(text, node.offset);
}

function placeOfSyntaxError(text: string): string {
  const errors: ParseError[] = [];
  json.parseTree(text, errors, { disallowComments: true });
  return lineAndColumn(text, errors[0]?.offset ?? 0);
}

/**
 * Refuses a file that others might read or change. One of root's may be for the server's group, since the server cannot
 * own it: secrets are mounted so into containers.
 */
function assertPrivate(file: string, mode: number, uid: number, isObeyed: boolean): void {
  const user = process.geteuid?.();
  if (user === undefined) return;
  if (uid !== user && uid !== 0 && (isObeyed || user !== 0)) {
    throw new InvalidAuthFileError(`${file} must belong to who runs the server, or to root`);
  }
  const refused = user !== 0 && uid === 0 ? 0o037 : 0o077;
  if ((mode & refused) !== 0) {
    throw new InvalidAuthFileError(`${file} must be for nobody but its owner: chmod 600 ${file}`);
  }
}
