const PRELOAD = `
  import { _cache } from 'node:module';
  process.on('exit', () => process.stderr.write(JSON.stringify(Object.keys(_cache))));
`;

/** The environment in which a command tells at its end, on standard error, which CommonJS files it has loaded. */
export function tellLoaded(): Record<string, string> {
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(PRELOAD)}` };
}

/** The packages that a command has loaded, from standard error, where it has told nothing else. */
export function librariesIn(stderr: string): string[] {
  const files = JSON.parse(stderr) as string[];
  const names = files.map((file) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))];
}
