import { PtyCommand } from '../../../src/cli/append/pty-command.ts';

/** Whether commands can have a terminal of their own here. */
export const hasPty = await PtyCommand.start(['true'], { columns: 80, rows: 24 }).then(
  ({ exit }) => exit.then(() => true),
  () => false,
);
