import { spawnSync } from 'node:child_process';
import type { Writable } from 'node:stream';
import { type Ended, startProgram } from './program.ts';

/** Whether `script` of util-linux is there, which makes a terminal. */
export const hasTerminals = /util-linux/.test(
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? '',
);

if (!hasTerminals) process.stderr.write('script of util-linux is not here: nothing is tried at a terminal\n');

/** A command line that runs at a terminal; it is killed after the test. */
export class Terminal {
  /** How it ended; `stdout` is all that appeared. */
  readonly ended: Promise<Ended>;
  readonly #keyboard: Writable;
  readonly #output: () => Buffer;

  /** @param columns its width; 0: it does not know */
  constructor(
    line: string,
    { columns = 100, env = {} }: { columns?: number; env?: Record<string, string> } = {},
  ) {
    const program = startProgram('script', ['-qec', `stty cols ${columns}; exec ${line}`, '/dev/null'], {
      env: { PATH: process.env.PATH, TERM: 'xterm-256color', SHELL: '/bin/sh', ...env },
    });
    this.ended = program.ended;
    this.#keyboard = program.stdin;
    this.#output = program.stdout;
  }

  /** All that has appeared so far, with its escape sequences. */
  get output(): string {
    return this.#output().toString();
  }

  /** Whether the cursor is shown: what was said of it last. */
  get showsCursor(): boolean {
    return this.output.lastIndexOf('\u001b[?25h') >= this.output.lastIndexOf('\u001b[?25l');
  }

  type(text: string): void {
    this.#keyboard.write(text);
  }

  ctrlC(): void {
    this.type('\u0003');
  }
}
