import { open, readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Random } from '../random.ts';

/** How a journal can be damaged. */
export type Damage = 'cut' | 'flip' | 'garbage' | 'none';

/**
 * Damages the newest journal of a root within what it holds, as a crash of
 * the machine could: cut anywhere, a byte changed, or garbage after its end.
 *
 * @returns what was done, for messages
 */
export async function tearJournal(root: string, random: Random): Promise<{ damage: Damage; text: string }> {
  const directory = path.join(root, '.httpfstream', 'redo');
  const logs = (await readdir(directory).catch(() => []))
    .filter((name) => name.endsWith('.log'))
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
  const name = logs.at(-1);
  if (name === undefined) return { damage: 'none', text: 'there is no journal' };

  const file = await open(path.join(directory, name), 'r+');
  try {
    const size = heldBytes(await file.readFile());
    if (size === 0) return { damage: 'none', text: `${name} holds nothing` };
    const position = random.integer(0, size - 1);
    const damage = random.pick(['cut', 'cut', 'flip', 'garbage'] as const);
    if (damage === 'cut') await file.truncate(position);
    else if (damage === 'flip') {
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, position);
      byte.writeUInt8(byte.readUInt8(0) ^ (1 << random.integer(0, 7)));
      await file.write(byte, 0, 1, position);
    } else {
      const garbage = Buffer.from(
        Array.from({ length: random.integer(1, 300) }, () => random.integer(0, 255)),
      );
      await file.write(garbage, 0, garbage.length, size);
    }
    return { damage, text: `${name}: ${damage} at ${damage === 'garbage' ? size : position} of ${size}` };
  } finally {
    await file.close();
  }
}

/** A log may be longer than what was written to it: zeros at its end are not yet used. */
function heldBytes(log: Buffer): number {
  let size = log.length;
  while (size > 0 && log[size - 1] === 0) size--;
  return size;
}
