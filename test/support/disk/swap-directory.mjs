// Swaps a directory for a symlink to another one and back, as fast as it can, until it is ended.
import fs from 'node:fs';

const [directory, aside, outside] = process.argv.slice(2);

/** Somebody may have made another one in the place that was empty for a moment. */
function insist(action) {
  for (;;) {
    try {
      return action();
    } catch {
      try {
        fs.rmSync(directory, { recursive: true, force: true });
      } catch {
        // Somebody makes something in it at the moment.
      }
    }
  }
}

/** Now and then all is as it should be for a moment, so that something can be done. */
function rest() {
  if (Math.random() < 0.5) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random());
}

fs.renameSync(directory, aside);
process.stdout.write('swapping\n');
for (;;) {
  insist(() => fs.symlinkSync(outside, directory));
  insist(() => fs.unlinkSync(directory));
  insist(() => fs.renameSync(aside, directory));
  rest();
  fs.renameSync(directory, aside);
}
