import { PassThrough, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { Tee } from '../../../src/cli/append/tee.ts';
import { ClientLog } from '../../../src/cli/client-log.ts';

test('a copy is taken no faster than its target takes it', async () => {
  const taken: string[] = [];
  let takeNext = () => {};
  const target = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      taken.push(chunk.toString());
      takeNext = callback;
    },
  });
  const stderr = new PassThrough();
  const tee = new Tee(target, new ClientLog(stderr, true));
  tee.write('one');
  tee.write('two');
  expect(taken).toEqual(['one']);
  expect(tee.writableLength).toBe('onetwo'.length);
  takeNext();
  await new Promise(setImmediate);
  expect(taken).toEqual(['one', 'two']);
  expect(tee.writableLength).toBe('two'.length);
  expect(stderr.read()).toBeNull();
});
