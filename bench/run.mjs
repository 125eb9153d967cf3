// Measures the server against its peers: see README.md. Results go to stdout as
// a table and to results/ as JSON, progress goes to stderr.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeBenchmarks } from './benchmarks.mjs';
import { describeMachine } from './machine.mjs';
import { readOptions, selectBenchmarks, USAGE, UsageError } from './options.mjs';
import { boundedTraffic, PEERS, withServer } from './peers.mjs';
import { killAll, runProcess } from './processes.mjs';
import { formatTable, formatTargets, medianOfRuns } from './report.mjs';

const LOAD = fileURLToPath(new URL('load.mjs', import.meta.url));
const RESULTS = fileURLToPath(new URL('results/', import.meta.url));
const LOAD_TIMEOUT_MS = 300_000;
const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

const temporaryDirectory = mkdtempSync(path.join(os.tmpdir(), 'httpfstream-bench-'));
process.on('exit', () => {
  killAll();
  // What was just killed may still be making a file.
  rmSync(temporaryDirectory, { recursive: true, force: true, maxRetries: 5 });
});
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
]) {
  process.on(signal, () => process.exit(128 + number));
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`bench: ${error.message}\n\n${USAGE}`);
  process.exitCode = EXIT_USAGE;
}

async function main(argv) {
  const options = readOptions(argv);
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const benchmarks = selectBenchmarks(makeBenchmarks(options), options.only);
  if (!PEERS.httpfstream.isInstalled()) {
    process.stderr.write('bench: dist/ is missing: npm run build\n');
    return EXIT_FAILURE;
  }

  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  const measured = [];
  for (const benchmark of benchmarks) measured.push(await runBenchmark(benchmark, options.runs));

  const described = Object.entries(machine).map(([what, value]) => `${what} ${value ?? 'none'}`);
  process.stdout.write(
    `${described.join(', ')}\nmedian of ${options.runs}${options.quick ? ', --quick' : ''}\n`,
  );
  process.stdout.write(`\n${formatTable(measured)}\n`);
  process.stdout.write(formatTargets(measured));
  mkdirSync(RESULTS, { recursive: true });
  const file = path.join(RESULTS, `${startedAt.replaceAll(':', '-')}.json`);
  writeFileSync(file, `${JSON.stringify({ startedAt, options, machine, benchmarks: measured }, null, 2)}\n`);
  process.stderr.write(`\nwritten to ${path.relative('.', file)}\n`);
  return measured.some(hasFailed) ? EXIT_FAILURE : 0;
}

/** All timed runs of one benchmark: the peers take turns, so that what disturbs disturbs all. */
async function runBenchmark({ name, title, figures, peers, skipped, measure }, runs) {
  const results = {};
  if (skipped === undefined) {
    const present = peers.filter((peer) => PEERS[peer].isInstalled());
    for (const peer of present) results[peer] = { runs: [], median: {} };
    for (let run = 0; run < runs; run++) {
      for (const peer of run % 2 === 0 ? present : present.toReversed()) {
        process.stderr.write(`${name}, run ${run + 1} of ${runs}: ${peer}\n`);
        results[peer].runs.push(await measureOnce(PEERS[peer], measure));
      }
    }
    for (const result of Object.values(results)) result.median = medianOfRuns(result.runs);
  }
  return { name, title, figures, skipped, results };
}

/** One run's figures, or `{ error }`: one peer that fails must not take the others' figures along. */
async function measureOnce(peer, measure) {
  try {
    return await measure({ serve: (traffic, use) => serve(peer, traffic, use), load });
  } catch (error) {
    process.stderr.write(`  failed: ${error.message}\n`);
    return { error: error.message };
  }
}

/** A fresh server with a fresh directory, which is gone afterwards. */
async function serve(peer, wantedTraffic, use) {
  const directory = mkdtempSync(path.join(temporaryDirectory, 'server-'));
  const root = path.join(directory, 'root');
  mkdirSync(root);
  const traffic = boundedTraffic(peer, wantedTraffic);
  try {
    return await withServer(peer, { directory, root, traffic }, (server) =>
      use({ ...server, root, traffic }),
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function load(mode, parameters, { timeoutMs = LOAD_TIMEOUT_MS } = {}) {
  const task = JSON.stringify({ mode, temporaryDirectory, ...parameters });
  return JSON.parse(await runProcess(process.execPath, [LOAD, task], { timeoutMs }));
}

function hasFailed({ results }) {
  return Object.values(results).some(({ runs }) => runs.some((run) => run.error !== undefined));
}
