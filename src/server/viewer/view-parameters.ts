import type { FastifyRequest } from 'fastify';
import { InvalidRequestError } from '../../wire/errors.ts';

/**
 * One of some words; the first one without the parameter.
 *
 * @throws {InvalidRequestError} for another word
 */
export function choiceOf<const T extends string>(
  request: FastifyRequest,
  name: string,
  choices: readonly [T, ...T[]],
): T {
  const text = textOf(request, name);
  const choice = text === undefined ? choices[0] : choices.find((each) => each === text);
  if (choice !== undefined) return choice;
  throw new InvalidRequestError(`the query parameter ${name} must be one of ${choices.join(', ')}`);
}

/** @throws {InvalidRequestError} for anything else, and for a negative number */
export function wholeNumberOf(request: FastifyRequest, name: string): number | undefined {
  const text = textOf(request, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidRequestError(`the query parameter ${name} must be a whole number, not negative`);
}

/** @throws {InvalidRequestError} when it came several times */
export function textOf({ query }: FastifyRequest, name: string): string | undefined {
  const value = (query as Record<string, unknown>)[name];
  if (value === undefined || typeof value === 'string') return value;
  throw new InvalidRequestError(`the query parameter ${name} came more than once`);
}
