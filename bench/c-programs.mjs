// The programs that are written in C, so that they take as little as possible from the server that is measured.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from './nginx.mjs';

const COMPILE_TIMEOUT_MS = 60_000;

const compiler = findProgram('gcc');

/** Why they cannot be had here; undefined where they can. */
export const cProgramsMissing = whyMissing();

function whyMissing() {
  if (process.platform !== 'linux') return 'needs Linux';
  return compiler === undefined ? 'gcc is not installed' : undefined;
}

/**
 * Compiles a program, unless that is done already.
 *
 * @param {string} source its file, seen from here
 * @param {string} directory where what was compiled goes
 * @returns {string} the path of the program
 */
export function compile(source, directory) {
  return make(source, path.join(directory, path.basename(source, '.c')));
}

/**
 * As {@link compile}, of what is loaded into other programs.
 *
 * @returns {string} the path of the library
 */
export function compileLibrary(source, directory) {
  return make(source, path.join(directory, `${path.basename(source, '.c')}.so`), ['-shared', '-fPIC']);
}

function make(source, target, flags = []) {
  if (existsSync(target)) return target;
  mkdirSync(path.dirname(target), { recursive: true });
  const file = fileURLToPath(new URL(source, import.meta.url));
  const options = { timeout: COMPILE_TIMEOUT_MS };
  execFileSync(compiler, ['-O2', '-ftree-vectorize', ...flags, '-o', target, file], options);
  return target;
}
