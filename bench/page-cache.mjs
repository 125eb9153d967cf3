import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';

const BLOCK = Buffer.alloc(1024 * 1024);

/**
 * Makes the system hold at least `bytes` of free memory that is really there,
 * by writing a file of that size into `directory` and deleting it.
 *
 * A virtual machine may hand free memory back to its host; the first to write
 * to it again then pays for that, several times the cost of the write itself.
 * Without this, whoever is measured first looks slow.
 */
export function warmPageCache(bytes, directory) {
  const file = path.join(directory, `warm-${process.pid}`);
  const fd = openSync(file, 'w');
  try {
    for (let left = bytes; left > 0; left -= BLOCK.length) {
      writeSync(fd, BLOCK, 0, Math.min(left, BLOCK.length));
    }
  } finally {
    closeSync(fd);
    rmSync(file);
  }
}
