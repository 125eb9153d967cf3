import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { PATH, runSuccessfully } from './support/programs/program.ts';

const PROJECT = path.join(import.meta.dirname, '..');

const pageAt = (name: string) => readFile(path.join(PROJECT, name), 'utf8');

test('the first command of the README starts a server, and the second one runs the tests', async () => {
  const blocks = (await pageAt('README.md')).matchAll(/^```\w*\n([\s\S]*?)\n```$/gm);
  expect([...blocks].slice(0, 2).map(([, code]) => code)).toEqual(['npm start', 'npm test']);
});

describe('docs/commands.md has every option of', () => {
  test.each(['httpfstream-server', 'httpfstream-append', 'httpfstream-follow'])('%s', async (name) => {
    const command = path.join(PROJECT, `dist/bin/${name}.js`);
    const help = await runSuccessfully('node', [command, '--help'], { env: { PATH } });
    // As `-n, --lines <LINES>`: the page may have either.
    const options = [...help.matchAll(/^ {2}(-[\w-]+(?:, -[\w-]+)?)/gm)].map(([, flags = '']) =>
      flags.split(', '),
    );
    expect(options.length).toBeGreaterThan(9);
    // What all commands have is told before, and the others in the first cells of the command's own table.
    const [intro = '', section = ''] = (await pageAt('docs/commands.md')).split(`\n## ${name}\n`);
    const cells = section.split('\n## ')[0]?.match(/^\| .*? \|/gm) ?? [];
    const told = `${intro.split('\n## ')[0]}${cells.join('')}`;
    const isTold = (flag: string) => told.includes(`\`${flag}`) || told.includes(`\`${flag.slice(1)}`);
    expect(options.filter((flags) => !flags.some(isTold))).toEqual([]);
  });
});
