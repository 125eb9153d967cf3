import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { nginxArguments, nginxConfiguration } from '../programs/nginx.ts';
import { accepts, freePort } from '../programs/ports.ts';
import { startProgram } from '../programs/program.ts';
import { temporaryDirectory } from '../server/server.ts';
import { waitFor } from '../wait-for.ts';

/** Whether nginx is installed; if not, that is told on stderr. */
export function isNginxHere(): boolean {
  if (spawnSync('nginx', ['-v']).error === undefined) return true;
  process.stderr.write('nginx is not here: relays are not tried with it\n');
  return false;
}

/** An nginx that serves files. */
export interface Nginx {
  readonly port: number;
  /** Directory of its files. */
  readonly files: string;
  url(urlPath: string): string;
}

/** Runs an nginx until the test is over; `locations` goes into its `server`, as in its configuration. */
export async function startNginx(locations: string): Promise<Nginx> {
  const directory = await temporaryDirectory();
  const files = path.join(directory, 'files');
  await mkdir(files);
  const port = await freePort();
  const configuration = path.join(directory, 'nginx.conf');
  await writeFile(
    configuration,
    nginxConfiguration(directory, [
      'types { text/plain txt; }',
      'map $http_upgrade $connection_upgrade { default upgrade; "" ""; }',
      `server { listen 127.0.0.1:${port}; root ${files};`,
      locations,
      '}',
    ]),
  );
  const nginx = startProgram('nginx', nginxArguments(directory, configuration));
  let hasEnded = false;
  void nginx.ended.finally(() => {
    hasEnded = true;
  });
  await waitFor(async () => hasEnded || (await accepts(port)), 'nginx to listen');
  if (hasEnded) throw new Error(`nginx ended: ${(await nginx.ended).stderr}`);
  return { port, files, url: (urlPath) => `http://127.0.0.1:${port}${urlPath}` };
}
