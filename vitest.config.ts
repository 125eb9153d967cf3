import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { PATIENCE_MS } from './test/support/patience.ts';

/** Files that build, measure what they and their children take, or load all cores by themselves. */
const ALONE = [
  'test/chaos.test.ts',
  'test/client/leaks.test.ts',
  'test/container.test.ts',
  'test/fuzz/fuzz.test.ts',
  'test/legacy/memory.test.ts',
  'test/package.test.ts',
  'test/producers-crash.test.ts',
  'test/soak-memory.test.ts',
  'test/soak.test.ts',
  'test/streaming-http.test.ts',
  'test/streaming.test.ts',
  'test/streams/idle-readers.test.ts',
];

// Ends what hangs. A wait within a test ends earlier, and says what it waited for.
const TIMEOUTS = { testTimeout: 2 * PATIENCE_MS, hookTimeout: 2 * PATIENCE_MS };

export default defineConfig({
  test: {
    globalSetup: './test/support/build-commands.ts',
    reporters: ['default', './test/support/count-reporter.ts'],
    projects: [
      {
        test: {
          ...TIMEOUTS,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...ALONE],
          // Most of them wait most of the time: for timers, disks and each other's processes.
          maxWorkers: Math.max(4, availableParallelism()),
          // Each worker loads the server and its libraries once.
          isolate: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: { ...TIMEOUTS, name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
