import { availableParallelism } from 'node:os';
import path from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { PATIENCE_MS } from './test/support/patience.ts';

/** Files that measure their own process: what others would leave in it. */
const ISOLATED = ['test/client/leaks.test.ts', 'test/server/small-inputs.test.ts'];

/**
 * A suite of others, with waits of a fixed length: what lives for 2 s is read after
 * 1.5 s, which a slow machine may miss. A fault of ours is red on every try.
 */
const FOREIGN = ['test/server/durable-streams/conformance.test.ts'];

/** Files that take long: begun first, they are not what everybody waits for at the end. */
const LONG = [
  'chaos',
  'cli/append/append',
  'cli/follow/follow-again',
  'cli/follow/follow-again-anew',
  'cli/follow/follow-again-rotated',
  'cli/server/check',
  'cli/server/server',
  'container',
  'cookbook',
  'core/recovery/power',
  'core/recovery/steps',
  'examples',
  'fuzz/fuzz',
  'package',
  'producers-crash',
  'proxies',
  'server/durable-streams/conformance',
  'server/durable-streams/model',
  'server/durable-streams/restarts',
  'server/durable-streams/torn-log',
  'server/relay/killed',
  'server/relay/many',
  'server/unreadable',
  'soak-memory',
  'storage/records/import-0.3',
].map((name) => `/test/${name}.test.ts`);

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((name) => moduleId.endsWith(name));
    return (await super.sort(files)).sort((a, b) => Number(isLong(b)) - Number(isLong(a)));
  }
}

const SOURCE = path.join(import.meta.dirname, 'src');

/**
 * What tests import of the source is the code that was built of it, which is
 * what users run, and needs no transformation for each worker.
 */
const builtSource = {
  name: 'built-source',
  enforce: 'pre' as const,
  resolveId(source: string, importer: string | undefined): string | undefined {
    if (importer === undefined || !/^\.\.?\/.*\.ts$/.test(source)) return undefined;
    const file = path.resolve(path.dirname(importer), source);
    const name = path.relative(SOURCE, file);
    if (name.startsWith('..')) return undefined;
    return path.join(import.meta.dirname, 'build/src', name.replace(/\.ts$/, '.js'));
  },
};

// Tests talk to this machine only, and trust what they name. Node 20 reads these authorities at each of the hundreds of
// starts, which is most of what a start takes. The long form installs packages from elsewhere.
if (process.env.HTTPFSTREAM_SOAK === undefined) delete process.env.NODE_EXTRA_CA_CERTS;

// With as many workers as there are, threads that collect garbage beside them gain nothing and cost a tenth; so does to collect
// all of it before there is much. What runs for seconds is hardly worth to be optimized: the V8 of Node 20 does that early, which
// costs another tenth; later ones have no such flag.
const EXEC_ARGV = [
  '--single-threaded-gc',
  '--max-semi-space-size=32',
  '--initial-old-space-size=256',
  ...(process.versions.v8.startsWith('11.') ? ['--interrupt-budget=600000'] : []),
];

// The bound ends what hangs. A wait within a test ends earlier, and says what it waited for.
const COMMON = {
  server: { deps: { external: [/\/build\/src\//] } },
  testTimeout: 2 * PATIENCE_MS,
  hookTimeout: 2 * PATIENCE_MS,
  // Most of them wait most of the time: for timers, disks and each other's processes.
  maxWorkers: Math.max(8, availableParallelism()),
  // Tests that share a server wait for each other: see test/support/server/shared-server.ts.
  maxConcurrency: 16,
};

export default defineConfig({
  test: {
    globalSetup: [
      './test/support/build-commands.ts',
      './test/support/programs/chromium-server.ts',
      './test/support/server/reserves.ts',
    ],
    reporters: ['default', './test/support/count-reporter.ts'],
    sequence: { sequencer: LongFirst },
    projects: [
      {
        plugins: [builtSource],
        test: {
          ...COMMON,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...ISOLATED, ...FOREIGN],
          // Each worker loads the server and its libraries once.
          isolate: false,
          execArgv: EXEC_ARGV,
        },
      },
      {
        plugins: [builtSource],
        test: { ...COMMON, name: 'foreign', include: FOREIGN, retry: 4, execArgv: EXEC_ARGV },
      },
      { plugins: [builtSource], test: { ...COMMON, name: 'isolated', include: ISOLATED } },
    ],
  },
});
