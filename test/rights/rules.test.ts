import { describe, expect, test } from 'vitest';
import type { Right } from '../../src/rights/access.ts';
import { RIGHTS, Rules } from '../../src/rights/rules.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';

const allowed = (rules: Rules, path: string) =>
  RIGHTS.filter((right) => rules.allow(right, ResourcePath.parse(path)));

describe('rules', () => {
  test('allow what one of them says, and nothing else', () => {
    const rules = new Rules([
      { rights: ['follow', 'list'], paths: ['/public/**', '/b'] },
      { rights: ['append'], paths: ['/public/in/*'] },
      { rights: ['delete'], paths: ['/**'] },
    ]);
    expect(allowed(rules, '/public/a')).toEqual(['follow', 'list', 'delete']);
    expect(allowed(rules, '/public/in/a')).toEqual(['follow', 'append', 'list', 'delete']);
    expect(allowed(rules, '/b')).toEqual(['follow', 'list', 'delete']);
    expect(allowed(rules, '/c')).toEqual(['delete']);
    expect(allowed(new Rules([]), '/public/a')).toEqual([]);
  });

  test('mean the same in any order', () => {
    const rules = [
      { rights: ['follow'] as Right[], paths: ['/a/**'] },
      { rights: ['append'] as Right[], paths: ['/a/**'] },
      { rights: ['delete'] as Right[], paths: ['/a/b'] },
    ];
    expect(allowed(new Rules(rules), '/a/b')).toEqual(['follow', 'append', 'delete']);
    expect(allowed(new Rules(rules.toReversed()), '/a/b')).toEqual(['follow', 'append', 'delete']);
  });

  test('for all below a directory are for it, too, and not for a file in its place', () => {
    const rules = new Rules([{ rights: ['append', 'list'], paths: ['/a/**'] }]);
    expect(allowed(rules, '/a')).toEqual(['list']);
    expect(allowed(rules, '/a/')).toEqual(['append', 'list']);
    expect(allowed(new Rules([{ rights: ['append', 'list'], paths: ['/**'] }]), '/')).toEqual([
      'append',
      'list',
    ]);
  });

  test('for the server itself have no path', () => {
    expect(allowed(new Rules([{ rights: ['admin'] }]), '/')).toEqual(['admin']);
    expect(allowed(new Rules([{ rights: ['admin', 'follow'], paths: ['/a'] }]), '/')).toEqual(['admin']);
    expect(allowed(new Rules([{ rights: ['follow'], paths: ['/*'] }]), '/')).toEqual([]);
  });
});
