import { expect, it } from 'vitest';
import { Permit } from '../../src/core/permit.ts';
import type { Right, Subject } from '../../src/rights/access.ts';
import { Rules } from '../../src/rights/rules.ts';
import { ForbiddenRightError, UnauthorizedError } from '../../src/wire/errors.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';

const A = ResourcePath.parse('/a');
const A_DIRECTORY = ResourcePath.parse('/a/');

/** May do one thing, and keeps what was asked. */
class Asked implements Subject {
  readonly expiresMs = Number.POSITIVE_INFINITY;
  readonly asked: string[] = [];

  readonly right: Right | undefined;
  readonly name: string | undefined;

  constructor(right: Right | undefined, name?: string) {
    this.right = right;
    this.name = name;
  }

  may(right: Right, path: ResourcePath): boolean {
    this.asked.push(`${right} ${path}`);
    return right === this.right;
  }
}

function subjectWith(rules: Rules): Subject {
  return { name: 'token:t', expiresMs: Infinity, may: (right, path) => rules.allow(right, path) };
}

it('is made for what is allowed only', () => {
  const subject = new Asked('follow', 'token:t');
  expect(Permit.of(subject, 'follow', A)).toMatchObject({ use: 'follow', path: A, subject });
  expect(Permit.of(subject, 'append', A)).toBeUndefined();
  expect(() => Permit.require(subject, 'append', A)).toThrow(ForbiddenRightError);
  expect(() => Permit.require(new Asked(undefined), 'append', A)).toThrow(UnauthorizedError);
});

it('asks for the file, and for the directory where one is meant, however the path was written', () => {
  const subject = new Asked(undefined);
  for (const path of [A, A_DIRECTORY]) {
    for (const use of ['follow', 'append', 'delete', 'list', 'form'] as const) Permit.of(subject, use, path);
  }
  const once = ['follow /a', 'append /a', 'delete /a', 'list /a/', 'append /a/'];
  expect(subject.asked).toEqual([...once, ...once]);
});

it('what nobody here knows the name of is for who may do it with whatever is in a directory', () => {
  const asked = new Asked(undefined);
  for (const path of [A, A_DIRECTORY]) {
    for (const use of ['index', 'append-any', 'follow-any'] as const) Permit.of(asked, use, path);
  }
  const once = ['follow /a/', 'append /a/*', 'follow /a/*'];
  expect(asked.asked).toEqual([...once, ...once]);
  const may = (...paths: string[]) =>
    Permit.of(subjectWith(new Rules([{ rights: ['append'], paths }])), 'append-any', A) !== undefined;
  for (const all of ['/a/**', '/a/*', '/**', '/*/*', '/**/*']) expect(may(all), all).toBe(true);
  const some = [
    '/a',
    '/a/x',
    '/a/x*',
    '/a/*x',
    '/a/*x*',
    '/*',
    '/a/*/**',
    '/a/*/*',
    '/**/x',
    '/**/*.*',
    '/b/**',
  ];
  for (const pattern of some) expect(may(pattern), pattern).toBe(false);
  expect(may(...some)).toBe(false);
});

it('is made by nobody else, and for nothing else', () => {
  const follow = Permit.require(new Asked('follow'), 'follow', A);
  // @ts-expect-error: its constructor is private
  const make = () => new Permit(A, 'follow', new Asked(undefined));
  // @ts-expect-error: another object is none, whatever it looks like
  const likeness: Permit<'follow'> = { path: A, use: 'follow', subject: new Asked(undefined) };
  // @ts-expect-error: it is for one right
  const other: Permit<'append'> = follow;
  // @ts-expect-error: a path is none
  const path: Permit<'follow'> = A;
  const own: [Permit<'append'>, Permit<'follow'>] = [Permit.own(A), Permit.own(A)];
  expect([make, likeness, other, path, own]).toHaveLength(5);
});
