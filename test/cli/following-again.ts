import type { TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait-for.ts';
import { RunningCommand, run } from './command.ts';

/** Begins to follow `/a` with -F and other options. */
export function followAgain(server: { url: TestServer['url'] }, ...options: string[]) {
  const command = new RunningCommand('httpfstream-follow', ['-F', ...options, server.url('/a')]);
  return {
    command,
    shows: (text: string) =>
      waitFor(() => command.stdout.toString() === text, `the output to be ${text}`).catch((cause) => {
        throw new Error(`it was ${command.stdout}, and it said: ${command.stderr}`, { cause });
      }),
    says: (text: string) => waitFor(() => command.stderr.includes(text), `it to say: ${text}`),
  };
}

/** Appends to `/a`. */
export const append = (server: { url: TestServer['url'] }, input: string) =>
  run('httpfstream-append', [server.url('/a')], { input });
