/**
 * Loaded with `node --require` before anything else, also into worker threads: counts
 * what changes something on the disk, and at one such step kills the process or makes the
 * step fail. `CRASH_STEP` is JSON: `{ "at": number, "how": "before" | "after" | an errno }`.
 * After `ENOSPC` all that needs room fails, as on a disk that is full.
 */
const fs = require('node:fs');
const { getEnvironmentData, isMainThread, setEnvironmentData } = require('node:worker_threads');

const { at, how } = JSON.parse(process.env.CRASH_STEP ?? '{}');
if (isMainThread) setEnvironmentData('steps', new Int32Array(new SharedArrayBuffer(8)));
/** How many steps there were, and whether they are counted. */
const steps = getEnvironmentData('steps');

const isSwitch = (value) => value === 'before' || value === 'after';

function die() {
  process.kill(process.pid, 'SIGKILL');
}

function failure(name) {
  return Object.assign(new Error(`${how}: made up, ${name}`), { code: how });
}

/** What needs no room: also to write over what is there, as handles do. */
const FREE = [
  'ftruncate',
  'truncate',
  'rename',
  'unlink',
  'rm',
  'utimes',
  'sync',
  'datasync',
  'fdatasync',
  'fsync',
  'write',
];

/** Whether this is the step; if it is to be died before it, nobody returns. */
function isStep(name) {
  if (Atomics.load(steps, 1) === 0) return false;
  const number = Atomics.add(steps, 0, 1) + 1;
  if (process.env.CRASH_TRACE) fs.writeSync(2, `${number} ${name}\n`);
  if (how === 'ENOSPC' && number > at) return !FREE.includes(name.replace('Sync', ''));
  if (number !== at) return false;
  if (how === 'before') die();
  return true;
}

function patchSync(owner, name) {
  const original = owner[name];
  owner[name] = function step(...args) {
    if (!isStep(name)) return original.apply(this, args);
    if (!isSwitch(how)) throw failure(name);
    original.apply(this, args);
    return die();
  };
}

function patchCallback(owner, name, changes = () => true) {
  const original = owner[name];
  owner[name] = function step(...args) {
    const callback = args.at(-1);
    if (!changes(...args) || !isStep(name)) return original.apply(this, args);
    if (!isSwitch(how)) return setImmediate(callback, failure(name));
    return original.apply(this, [...args.slice(0, -1), die]);
  };
}

function patchPromise(owner, name, changes = () => true) {
  const original = owner[name];
  owner[name] = async function step(...args) {
    if (!changes(...args) || !isStep(name)) return original.apply(this, args);
    if (!isSwitch(how)) throw failure(name);
    await original.apply(this, args);
    return die();
  };
}

const makes = (_name, flags) =>
  typeof flags === 'string' ? flags.includes('x') : (flags & fs.constants.O_CREAT) !== 0;

patchSync(fs, 'writevSync');
patchSync(fs, 'fdatasyncSync');
patchSync(fs, 'unlinkSync');
patchSync(fs, 'ftruncateSync');
for (const name of ['write', 'writev', 'ftruncate', 'fdatasync', 'fsync']) patchCallback(fs, name);
patchCallback(fs, 'open', makes);
patchPromise(fs.promises, 'open', makes);
for (const name of ['rename', 'unlink', 'link', 'copyFile', 'utimes', 'truncate'])
  patchPromise(fs.promises, name);
patchPromise(fs.promises, 'rm', (name) => fs.existsSync(name));
patchPromise(fs.promises, 'mkdir', (name) => !fs.existsSync(name));

/** What is remembered of files is written in one step each. */
if (isMainThread) patchPromise(require('classic-level').ClassicLevel.prototype, 'batch');

/** The methods of file handles, which are to be had from one only. */
const { open } = fs.promises;
fs.promises.open = async function openAndPatch(...args) {
  const handle = await open.apply(this, args);
  const prototype = Object.getPrototypeOf(handle);
  if (!Object.hasOwn(prototype, 'isPatched')) {
    prototype.isPatched = true;
    for (const name of ['writeFile', 'appendFile', 'write', 'sync', 'datasync', 'truncate', 'utimes']) {
      patchPromise(prototype, name);
    }
  }
  return handle;
};
