import { checkDirectory } from '../../server/check-directory.ts';
import { type CommandIo, messageOf } from '../io/io.ts';

/**
 * Runs `httpfstream-server --check`: a line on stdout for each finding, and one at the end.
 *
 * @param root the directory that holds the files
 * @returns the exit code: 0 when all is well or was put right; 1 when something was lost, could not be put right, or
 * a server uses the root
 */
export async function runCheck(root: string, io: CommandIo): Promise<number> {
  try {
    const isWell = await checkDirectory(root, (line) => io.stdout.write(`${line}\n`));
    return isWell ? 0 : 1;
  } catch (error) {
    io.stderr.write(`httpfstream-server: ${messageOf(error)}\n`);
    return 1;
  }
}
