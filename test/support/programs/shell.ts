import { fileURLToPath } from 'node:url';
import { type StartedProgram, startProgram } from './program.ts';

const command = (name: string) =>
  `'${process.execPath}' '${fileURLToPath(new URL(`../../../dist/bin/${name}.js`, import.meta.url))}'`;

/** The built commands, as a shell takes them. */
export const SERVER = command('httpfstream-server');
export const APPEND = command('httpfstream-append');
export const FOLLOW = command('httpfstream-follow');

/** Runs a line in a shell, where `|`, `>` and pipes are the real ones; it is killed after the test. */
export function shell(line: string): StartedProgram {
  return startProgram('/bin/sh', ['-c', line]);
}
