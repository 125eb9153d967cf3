import { expect, test } from 'vitest';
import { Names } from './names.ts';

test('a name has been said when it was in a path, escaped once or not at all', () => {
  const names = new Names();
  names.add(
    Buffer.from('PUT /logs/a%20b%2fc.txt?verb=APPEND HTTP/1.1\r\n\r\nGET d/%252e HTTP/1.1\r\n', 'latin1'),
  );
  names.add(Buffer.from('PUT /%c3%bc/\xc3\xa4 HTTP/1.1\r\n', 'latin1'));
  for (const name of ['logs', 'a b', 'c.txt', 'd', '%2e', 'ü', 'ä'])
    expect([name, names.has(name)]).toEqual([name, true]);
  for (const name of ['verb=APPEND', 'other', '.', 'a'])
    expect([name, names.has(name)]).toEqual([name, false]);
});

test('a name has been said when it was in a form, also in chunks', () => {
  const names = new Names();
  names.add(
    Buffer.from(
      'Content-Disposition: form-data; name="file"; filename="fi\r\n5\r\nrst.t\r\n2;x=1\r\nxt"\r\n',
    ),
  );
  names.add(Buffer.from('Content-Disposition: form-data; name="file"; filename="%2e%2e#"\r\n'));
  names.add(Buffer.from("Content-Disposition: form-data; name=file; filename*=UTF-8''a b: c\r\n"));
  for (const name of ['first.txt', '%2e%2e#', '..#', 'ab:c'])
    expect([name, names.has(name)]).toEqual([name, true]);
  expect(names.has('second.txt')).toBe(false);
});
