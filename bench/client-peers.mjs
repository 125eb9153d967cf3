import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { findProgram } from './nginx.mjs';
import { versionOf } from './peers.mjs';
import { freePort, runProcess, startProcess, stopProcess, waitForPort } from './processes.mjs';

const CHECKOUT = fileURLToPath(new URL('..', import.meta.url));
const CLIENT = fileURLToPath(new URL('client.mjs', import.meta.url));
const TARGET = fileURLToPath(new URL('http-target.mjs', import.meta.url));
const TIMEOUT_MS = 300_000;

/**
 * The HTTP clients that are compared, ours first. `module` is the file in `clients/` that knows how each is used, and
 * `entry` what that imports.
 *
 * @param {{ baseline?: string }} options `baseline` is the directory of a built checkout, which is then a peer, too
 */
export function makeClients({ baseline }) {
  const before = baseline && httpfstreamOf(path.resolve(baseline), `baseline ${versionOf(baseline)}`);
  return {
    httpfstream: httpfstreamOf(CHECKOUT, 'httpfstream/http'),
    ...(before && { baseline: before }),
    nodeHttp: { title: 'node:http', module: 'node-http.mjs', isInstalled: () => true },
    fetch: { title: 'fetch', module: 'fetch.mjs', isInstalled: () => true },
    undici: packageOf('undici', 'index.js'),
    got: packageOf('got', 'dist/source/index.js'),
    ky: packageOf('ky', 'distribution/index.js'),
    curl: {
      title: 'curl',
      module: 'curl.mjs',
      entry: findProgram('curl'),
      isInstalled: () => findProgram('curl') !== undefined,
    },
  };
}

/** The client of a checkout; undefined of one that has none yet. */
function httpfstreamOf(directory, title) {
  const { exports } = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
  if (exports['./http'] === undefined) return undefined;
  const { node, default: elsewhere } = exports['./http'];
  const entry = path.join(directory, node.default);
  return {
    title,
    module: 'httpfstream.mjs',
    entry: urlOf(entry),
    browserEntry: urlOf(path.join(directory, elsewhere.default)),
    // What most programs do with.
    names: ['client', 'ok', 'text', 'json'],
    isInstalled: () => existsSync(entry),
  };
}

function packageOf(name, main) {
  const directory = path.join(CHECKOUT, 'node_modules', name);
  const isInstalled = existsSync(directory);
  const version = isInstalled
    ? JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')).version
    : '';
  const entry = urlOf(path.join(directory, main));
  return {
    title: `${name} ${version}`,
    module: `${name}.mjs`,
    entry,
    browserEntry: entry,
    isInstalled: () => isInstalled,
  };
}

function urlOf(file) {
  return pathToFileURL(file).href;
}

/**
 * Runs `client.mjs` with a client, and returns its figures.
 *
 * @param {object} client one of {@link makeClients}
 * @param {object} parameters what it is to do
 * @param {{ targets?: number }} options how many fresh servers it is to have
 */
export async function runClient(client, parameters, { targets = 0 } = {}) {
  const servers = [];
  try {
    const urls = [];
    for (let i = 0; i < targets; i++) {
      const port = await freePort();
      const server = startProcess(process.execPath, [TARGET, String(port)]);
      servers.push(server);
      await waitForPort(port, server);
      urls.push(`http://127.0.0.1:${port}`);
    }
    const { module, entry } = client;
    const task = JSON.stringify({ module, entry, urls, ...parameters });
    return JSON.parse(await runProcess(process.execPath, [CLIENT, task], { timeoutMs: TIMEOUT_MS }));
  } finally {
    for (const server of servers) await stopProcess(server);
  }
}
