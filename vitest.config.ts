import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

/** Files that build, measure what they and their children take, or load all cores by themselves. */
const ALONE = [
  'test/chaos.test.ts',
  'test/client/leaks.test.ts',
  'test/container.test.ts',
  'test/legacy/memory.test.ts',
  'test/package.test.ts',
  'test/producers-crash.test.ts',
  'test/soak-memory.test.ts',
  'test/soak.test.ts',
  'test/streaming-http.test.ts',
  'test/streaming.test.ts',
  'test/streams/idle-readers.test.ts',
];

const TIMEOUTS = { testTimeout: 30_000, hookTimeout: 30_000 };

export default defineConfig({
  test: {
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
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: { ...TIMEOUTS, name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
