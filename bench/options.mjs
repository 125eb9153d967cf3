import { parseArgs } from 'node:util';
import { cProgramsMissing } from './c-programs.mjs';
import { isBuilt } from './peers.mjs';

export const USAGE = `Usage: npm run bench -- [--quick] [--large] [--runs N] [--only NAME,NAME] [--baseline DIR] [--sync-ms MS] [--guarded]

  --runs N        timed runs of each figure; the median counts (default 5)
  --quick         small sizes: shows that all of it works, not how fast it is
  --large         8 GiB, too, where it is shown that memory does not grow with the length
  --only LIST     only these, by name or by the part before the dash: fanout, fanout-100
  --baseline DIR  another checkout of httpfstream, built, that is measured beside this one
  --sync-ms MS    each fsync of a server takes so much longer: a disk as many have them, where this one is quick
  --guarded       our server, but not that of --baseline, with rights, quotas and a rate
  --help          this text
`;

/** A mistake in the arguments. */
export class UsageError extends Error {}

/**
 * Reads the command line.
 *
 * @param {string[]} argv arguments without the program's name
 * @returns {{ runs: number, quick: boolean, large: boolean, only: string[], baseline?: string, syncMs: number, guarded: boolean, help: boolean }}
 * @throws {UsageError}
 */
export function readOptions(argv) {
  let values;
  try {
    ({ values } = parseArgs({
      args: argv,
      options: {
        runs: { type: 'string', default: '5' },
        quick: { type: 'boolean', default: false },
        large: { type: 'boolean', default: false },
        only: { type: 'string', default: '' },
        baseline: { type: 'string' },
        'sync-ms': { type: 'string', default: '0' },
        guarded: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new UsageError(error.message, { cause: error });
  }
  if (!/^[1-9]\d{0,2}$/.test(values.runs)) throw new UsageError('--runs takes a number from 1 to 999');
  const { 'sync-ms': syncMs, ...others } = values;
  if (!/^\d{1,3}(\.\d{1,3})?$/.test(syncMs)) throw new UsageError('--sync-ms takes milliseconds');
  if (Number(syncMs) > 0 && cProgramsMissing !== undefined)
    throw new UsageError(`--sync-ms: ${cProgramsMissing}`);
  if (values.baseline !== undefined && !isBuilt(values.baseline)) {
    throw new UsageError(`--baseline: there is no dist/bin/httpfstream-server.js in ${values.baseline}`);
  }
  return {
    ...others,
    runs: Number(values.runs),
    only: values.only.split(',').filter(Boolean),
    syncMs: Number(syncMs),
  };
}

/**
 * The benchmarks that `--only` names, in their own order; all when it names none.
 *
 * @throws {UsageError} for a name that none has
 */
export function selectBenchmarks(benchmarks, only) {
  const isNamedBy = (wanted) => (benchmark) =>
    benchmark.name === wanted || benchmark.name.startsWith(`${wanted}-`);
  for (const wanted of only) {
    if (!benchmarks.some(isNamedBy(wanted))) {
      const names = benchmarks.map(({ name }) => name).join(', ');
      throw new UsageError(`there is no benchmark "${wanted}"; there are ${names}`);
    }
  }
  if (only.length === 0) return benchmarks;
  return benchmarks.filter((benchmark) => only.some((wanted) => isNamedBy(wanted)(benchmark)));
}
