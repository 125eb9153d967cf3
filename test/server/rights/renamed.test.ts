import { expect, it } from 'vitest';
import { send } from '../../support/http/request.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { startServer } from '../../support/server/server.ts';

it('a file that may have been at a path is read there only by who may read it by its own name', async () => {
  const access = new RuleAccess({
    one: { rules: { '/d/app.log': ['follow'] } },
    all: { rules: { '/d/**': ['follow', 'append'] } },
  });
  const { url } = await startServer({ access });
  const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
  const made = await send('PUT', url('/d/app-private.log?verb=APPEND'), { ...as('all'), body: 'secret' });
  const { generation } = JSON.parse(made.text);
  const rest = async (token: string) => {
    const query = `verb=FOLLOW&from=0&hold=60&generation=${generation}`;
    return send('GET', url(`/d/app.log?${query}`), as(token)).then(
      ({ status, text }) => [status, text],
      // It breaks off: the file was deleted, for who follows it here.
      (error) => ['cut', String(error)],
    );
  };
  const refused = await rest('one');
  expect(refused).toMatchObject([410, expect.not.stringContaining('secret')]);
  expect((await rest('all'))[0]).not.toBe(410);
  // It is kept at the path by now.
  expect(await rest('one')).toEqual(refused);
});
