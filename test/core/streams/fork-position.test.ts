import { describe, expect, it } from 'vitest';
import { Permit } from '../../../src/core/permit.ts';
import { InvalidRequestError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { startCore } from '../../support/core/harness.ts';
import { makeStream, textOf } from '../../support/core/streams.ts';

/** Makes forks of a stream, and returns what each begins with. */
async function forksOf(contentType: string, text: string) {
  const { core } = await startCore();
  await makeStream(core, 'source', text, { contentType });
  const { names } = await core.resources.acquire(Permit.own(ResourcePath.parse('source')));
  let made = 0;
  return async (position: number | undefined, subOffset: number) => {
    const offset = position === undefined ? undefined : names.nameOf(position);
    const fork = { source: Permit.own(ResourcePath.parse('source')), offset, subOffset };
    const name = `fork-${made++}`;
    await makeStream(core, name, '', { contentType: undefined, fork });
    return textOf(core, name);
  };
}

describe('a fork leaves its source', () => {
  it('at its end, unless another position is named', async () => {
    const fork = await forksOf('text/plain', 'abcdef');
    expect(await fork(undefined, 0)).toBe('abcdef');
    expect(await fork(2, 0)).toBe('ab');
    expect(await fork(0, 0)).toBe('');
  });

  it('so many bytes after the position', async () => {
    const fork = await forksOf('text/plain', 'abcdef');
    expect(await fork(2, 3)).toBe('abcde');
    expect(await fork(2, 4)).toBe('abcdef');
    await expect(fork(2, 5)).rejects.toThrow(InvalidRequestError);
    await expect(fork(undefined, 1)).rejects.toThrow(InvalidRequestError);
  });

  it('so many values after the position when it is one of JSON, however many blocks they fill', async () => {
    const long = JSON.stringify('x'.repeat(300_000));
    const lines = ['1', long, '{"a":2}', long, '3'].map((line) => `${line}\n`);
    const fork = await forksOf('application/json', lines.join(''));
    for (const values of [1, 2, 3, 4, 5]) expect(await fork(0, values)).toBe(lines.slice(0, values).join(''));
    expect(await fork(2, 2)).toBe(lines.slice(0, 3).join(''));
    await expect(fork(0, 6)).rejects.toThrow(InvalidRequestError);
    await expect(fork(0, Number.MAX_SAFE_INTEGER)).rejects.toThrow(InvalidRequestError);
  });

  it('nowhere when the position is none of the source', async () => {
    const fork = await forksOf('text/plain', 'abcdef');
    await expect(fork(7, 0)).rejects.toThrow(InvalidRequestError);
  });
});
