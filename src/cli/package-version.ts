import { createRequire } from 'node:module';

/** The version of this package, from its manifest. */
export function packageVersion(): string {
  return createRequire(import.meta.url)('httpfstream/package.json').version;
}
