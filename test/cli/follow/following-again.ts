import { runAppend } from '../../../src/cli/append/run-append.ts';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { CommandHere, runHere } from '../../support/programs/command.ts';
import type { TestServer } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Begins to follow `/a` with -F and other options. */
export function followAgain(server: { url: TestServer['url'] }, ...options: string[]) {
  const command = new CommandHere(runFollow, ['-F', ...options, server.url('/a')]);
  return {
    command,
    shows: (text: string) =>
      waitFor(() => command.stdout.toString() === text, `the output to be ${text}`).catch((cause) => {
        throw new Error(`it was ${command.stdout}, and it said: ${command.stderr}`, { cause });
      }),
    says: (text: string) => waitFor(() => command.stderr.includes(text), `it to say: ${text}`),
  };
}

/** Appends to `/a`, once whoever was lost there is gone for the server, too. */
export const append = (server: { url: TestServer['url'] }, input: string) =>
  waitFor(
    async () => (await runHere(runAppend, [server.url('/a')], { input })).exit === 0,
    'the append to be taken',
  );
