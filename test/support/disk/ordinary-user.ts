import { chown } from 'node:fs/promises';

const NOBODY = 65_534;

/** Gives a directory to the user that {@link asOrdinaryUser} becomes. */
export async function giveToOrdinaryUser(directory: string): Promise<void> {
  if (process.getuid?.() === 0) await chown(directory, NOBODY, NOBODY);
}

/** Runs `action` without root's power to open everything. */
export async function asOrdinaryUser<T>(action: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return action();
  process.seteuid?.(NOBODY);
  try {
    return await action();
  } finally {
    process.seteuid?.(0);
  }
}
