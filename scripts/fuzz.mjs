// Fuzzes a server of its own: npm run fuzz -- --seed 42 --seconds 60 --connections 32
// What fails is told with its seed and with the conversations that it takes; --only 17,40
// has no others.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const USAGE = 'usage: npm run fuzz -- [--seed N] [--seconds S] [--connections C] [--only N,N…]';

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string' },
        seconds: { type: 'string', default: '600' },
        connections: { type: 'string', default: '32' },
        only: { type: 'string' },
      },
    });
    const numbers = Object.values(values).flatMap((value) => value.split(','));
    if (numbers.every((number) => /^\d+$/.test(number))) return values;
  } catch {
    // An option that there is not.
  }
  console.error(USAGE);
  process.exit(2);
}

const { seed, seconds, connections, only } = readOptions();
const { status } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', 'test/fuzz/fuzz'], {
  stdio: 'inherit',
  env: {
    ...process.env,
    HTTPFSTREAM_BUILT: '1',
    HTTPFSTREAM_FUZZ_SECONDS: seconds,
    HTTPFSTREAM_FUZZ_CONNECTIONS: connections,
    ...(seed !== undefined && { HTTPFSTREAM_SEED: seed }),
    ...(only !== undefined && { HTTPFSTREAM_FUZZ_ONLY: only }),
  },
});
process.exitCode = status ?? 1;
