import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { APPEND, FOLLOW, SERVER } from '../../support/programs/shell.ts';
import { hasTerminals, Terminal } from '../../support/programs/terminal.ts';
import { startServer, temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Starts with the character ESC, and says which colour. */
const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[\\d;]+m`);

describe.skipIf(!hasTerminals)('at a terminal', () => {
  test.each([{ NO_COLOR: '1' }, {}])(
    'all three commands keep to %j, and the server says what to try behind what it logs',
    async (env) => {
      const server = await startServer();
      await writeFile(`${server.root}/a`, 'hello\n');
      await writeFile(`${server.root}/b`, 'hello\n');
      const root = path.join(await temporaryDirectory(), 'root');
      const serving = new Terminal(`${SERVER} -root ${root} -http localhost:0`, { env });
      await waitFor(() => serving.output.includes('FOLLOW'), 'the hint');
      serving.ctrlC();
      const isSeen = path.join(root, '../seen');
      const appending = new Terminal(
        `${APPEND} ${server.url('/c')} -- sh -c 'until [ -e ${isSeen} ]; do sleep 0.05; done'`,
        { env },
      );
      await waitFor(() => /\d B/.test(appending.output), 'what it shows');
      await writeFile(isSeen, '');
      const ended = await Promise.all([
        serving.ended,
        appending.ended,
        new Terminal(`${FOLLOW} ${server.url('/a')} ${server.url('/b')}`, { env }).ended,
      ]);
      const areColoured = ended.map(({ stdout }) => COLOUR.test(stdout.toString()));
      expect(areColoured).toEqual(ended.map(() => !('NO_COLOR' in env)));
      expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
      const [before = '', behind] = ended[0].stdout
        .toString()
        .split('Append, and follow in another terminal');
      expect(before.match(/listening at/g)?.length).toBeGreaterThan(0);
      expect(before).toContain('ready');
      expect(behind).not.toContain('listening at');
    },
  );

  test.each([
    { name: 'server', line: SERVER, columns: 60 },
    { name: 'append', line: APPEND, columns: 60 },
    { name: 'follow', line: FOLLOW, columns: 60 },
    { name: 'server', line: SERVER, columns: 120 },
  ])('the help of $name fits into $columns columns', async ({ line, columns }) => {
    const { stdout } = await new Terminal(`${line} -h`, { columns }).ended;
    const lines = stdout.toString().replaceAll('\r', '').split('\n');
    expect(lines.length).toBeGreaterThan(10);
    // What is to be copied is not broken.
    const isExample = (text: string) => /^ {2}\S+/.test(text) && text.includes('httpfstream-');
    const isVariable = (text: string) => /^ +HTTPFSTREAM_[A-Z_]+\)$/.test(text);
    const isTooLong = (text: string) => text.length > columns && !isExample(text) && !isVariable(text);
    expect(lines.filter(isTooLong)).toEqual([]);
  });
});
