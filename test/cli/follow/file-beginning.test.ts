import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { FileBeginning } from '../../../src/cli/follow/file-beginning.ts';
import { ConnectionError } from '../../../src/wire/errors.ts';
import { startSource } from '../../support/http/source.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

test('a comparison does not wait for ever for what is to come', async () => {
  const file = path.join(await temporaryDirectory(), 'copy');
  await writeFile(file, 'hello');
  const url = await startSource((_, response) => {
    response.writeHead(206, { 'content-range': 'bytes 0-4/11' }).write('hel');
  });
  const beginning = new FileBeginning(file, 5, 10);
  const error = await beginning
    .confirm(url, { headers: {}, signal: new AbortController().signal })
    .catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ConnectionError);
  expect(error).toMatchObject({ message: 'the beginning of the resource did not come' });
});
