// Measures the server against its peers: see README.md. Results go to stdout as
// a table and to results/ as JSON, progress goes to stderr.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeBenchmarks } from './benchmarks.mjs';
import { compile, compileLibrary } from './c-programs.mjs';
import { makeClients, runClient } from './client-peers.mjs';
import { describeMachine } from './machine.mjs';
import { readOptions, selectBenchmarks, USAGE, UsageError } from './options.mjs';
import { warmPageCache } from './page-cache.mjs';
import { boundedTraffic, makePeers, withServer } from './peers.mjs';
import { killAll, runProcess } from './processes.mjs';
import { formatTable, formatTargets, medianOfRuns } from './report.mjs';

const LOAD = fileURLToPath(new URL('load.mjs', import.meta.url));
const RESULTS = fileURLToPath(new URL('results/', import.meta.url));
const LOAD_TIMEOUT_MS = 300_000;
const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

const temporaryDirectory = mkdtempSync(path.join(os.tmpdir(), 'httpfstream-bench-'));
const programs = path.join(temporaryDirectory, 'programs');
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
  const servers = makePeers(options);
  const clients = makeClients(options);
  const peersOf = ({ areClients }) => (areClients ? clients : servers);
  if (!servers.httpfstream.isInstalled()) {
    process.stderr.write('bench: dist/ is missing: npm run build\n');
    return EXIT_FAILURE;
  }

  const startedAt = new Date().toISOString();
  const machine = describeMachine(options);
  const measured = [];
  for (const benchmark of benchmarks) {
    const result = await runBenchmark(benchmark, peersOf(benchmark), options);
    process.stderr.write(formatTargets([result], peersOf(benchmark)));
    measured.push(result);
  }

  const described = Object.entries(machine).map(([what, value]) => `${what} ${value ?? 'none'}`);
  process.stdout.write(
    `${described.join(', ')}\nmedian of ${options.runs}${options.quick ? ', --quick' : ''}${syncsOf(options)}\n`,
  );
  for (const peers of [servers, clients]) {
    const compared = measured.filter((result) => peersOf(result) === peers);
    if (compared.length === 0) continue;
    process.stdout.write(`\n${formatTable(compared, peers)}\n`);
    process.stdout.write(formatTargets(compared, peers));
  }
  mkdirSync(RESULTS, { recursive: true });
  const file = path.join(RESULTS, `${startedAt.replaceAll(':', '-')}.json`);
  writeFileSync(file, `${JSON.stringify({ startedAt, options, machine, benchmarks: measured }, null, 2)}\n`);
  process.stderr.write(`\nwritten to ${path.relative('.', file)}\n`);
  return measured.some(hasFailed) ? EXIT_FAILURE : 0;
}

function syncsOf({ syncMs }) {
  return syncMs === 0 ? '' : `, each sync takes ${syncMs} ms longer`;
}

/** All timed runs of one benchmark: the peers take turns, so that what disturbs disturbs all. */
async function runBenchmark(benchmark, peers, { runs, syncMs }) {
  const { name, title, figures, skipped, areClients } = benchmark;
  const results = {};
  if (skipped === undefined) {
    const names = benchmark.isNew ? benchmark.peers : withBaseline(benchmark.peers);
    const present = names.filter((peer) => peers[peer]?.isInstalled());
    for (const peer of present) results[peer] = { runs: [], median: {} };
    for (let run = 0; run < runs; run++) {
      for (const peer of run % 2 === 0 ? present : present.toReversed()) {
        process.stderr.write(`${name}, run ${run + 1} of ${runs}: ${peer}\n`);
        results[peer].runs.push(await measureOnce(peers[peer], benchmark, environment(syncMs)));
      }
    }
    for (const result of Object.values(results)) result.median = medianOfRuns(result.runs);
  }
  return { name, title, figures, skipped, areClients, results };
}

/** A checkout that ours is compared with does whatever ours does. */
function withBaseline(names) {
  return names.flatMap((name) => (name === 'httpfstream' ? [name, 'baseline'] : [name]));
}

/** One run's figures, or `{ error }`: one peer that fails must not take the others' figures along. */
async function measureOnce(peer, { measure, keepsFiles }, env) {
  try {
    return await measure({
      serve: (traffic, use) => serve(peer, { traffic, keepsFiles, env }, use),
      load,
      loadInC,
      peer,
      client: (parameters, options) => runClient(peer, parameters, options),
      warm: (bytes) => warmPageCache(bytes, temporaryDirectory),
    });
  } catch (error) {
    process.stderr.write(`  failed: ${error.message}\n`);
    return { error: error.message };
  }
}

/**
 * A fresh server with a fresh directory, which is gone afterwards; with
 * `keepsFiles` when all is over: ext4 makes files up to 20 times slower in the
 * minute after many were deleted, whoever makes them.
 */
async function serve(peer, { traffic: wantedTraffic, keepsFiles = false, env }, use) {
  const directory = mkdtempSync(path.join(temporaryDirectory, 'server-'));
  const root = path.join(directory, 'root');
  mkdirSync(root);
  const traffic = boundedTraffic(peer, wantedTraffic);
  try {
    return await withServer(peer, { directory, root, programs, env, traffic }, (server) =>
      use({ ...server, root, traffic }),
    );
  } finally {
    if (!keepsFiles) rmSync(directory, { recursive: true, force: true });
  }
}

/** That of the servers, on a disk whose syncs take so much longer. */
function environment(syncMs) {
  if (syncMs === 0) return process.env;
  const library = compileLibrary('slow-sync.c', programs);
  return { ...process.env, LD_PRELOAD: library, SYNC_US: String(syncMs * 1000) };
}

/** Runs `load.mjs`; see there. */
async function load(mode, parameters, { timeoutMs = LOAD_TIMEOUT_MS } = {}) {
  const task = JSON.stringify({ mode, temporaryDirectory, ...parameters });
  return JSON.parse(await runProcess(process.execPath, [LOAD, task], { timeoutMs }));
}

/**
 * Runs a load program that is written in C, and returns its figures.
 *
 * @param {string} name of its source in load/
 * @param {object} target the server's, as `withServer` gives it
 * @param {object} parameters the program's other options
 */
async function loadInC(name, target, parameters) {
  const { port, pid, opcode, appendTarget: append, followTarget: follow } = target;
  const options = { port, pid, opcode, append, follow, ...parameters };
  // In a session of its own, as all that is started here: where sessions share the processors, it takes no server's share.
  const output = await runProcess(
    compile(`load/${name}.c`, programs),
    Object.entries(options).map(([option, value]) => `${option}=${value}`),
    { timeoutMs: LOAD_TIMEOUT_MS },
  );
  return JSON.parse(output);
}

function hasFailed({ results }) {
  return Object.values(results).some(({ runs }) => runs.some((run) => run.error !== undefined));
}
