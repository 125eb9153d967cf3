import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

/** Compiles the commands, and what tests kill, once for all test files that start them. */
export async function setup(): Promise<void> {
  // `npm test` has done it, and looks at the package meanwhile.
  if (process.env.HTTPFSTREAM_BUILT === undefined) {
    execFileSync('npm', ['run', '--silent', 'build'], { cwd: PROJECT, stdio: 'inherit' });
  }
  // A process that loads one file takes two thirds of what it takes with a hundred.
  await build({
    absWorkingDir: PROJECT,
    entryPoints: ['test/support/core/crash-child.mjs'],
    outdir: 'build/test',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
  });
}
