/**
 * Loaded with `node --require` before anything else, also into worker threads: writes down, in order, what
 * changes something below a root, what is synced, and what the program tells on its standard output. From that a test makes what a
 * disk may show after a loss of power. `POWER_JOURNAL` is JSON: `{ "root": string, "journal": string }`, both absolute.
 */
const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');
const path = require('node:path');
const { isMainThread, threadId } = require('node:worker_threads');

const { root, journal } = JSON.parse(process.env.POWER_JOURNAL);
const { writeSync } = fs;
const out = fs.openSync(journal, 'a');
let syncs = 0;

function note(entry) {
  writeSync(out, `${JSON.stringify(entry)}\n`);
}

/** Which file it is: a number is used again when its file is gone. */
function idOf(fd) {
  const stat = fs.fstatSync(fd, { bigint: true });
  return { ino: String(stat.ino), birthtimeNs: String(stat.birthtimeNs) };
}

/** Where a name is below the root; undefined if it is not, or changes when nothing is kept. */
function placeOf(name) {
  const directory = path.relative(root, fs.realpathSync(path.dirname(String(name))));
  const isReserve = path.join(directory, path.basename(String(name))).startsWith('.httpfstream/reserve');
  const isOutside =
    isReserve || directory.startsWith('..') || directory.startsWith(path.join('.httpfstream', 'lock'));
  return isOutside ? undefined : { directory, name: path.basename(String(name)) };
}

function noteAt(name, entry) {
  const place = placeOf(name);
  if (place !== undefined) note({ ...place, ...entry });
}

function isBelow(fd) {
  return placeOf(fs.readlinkSync(`/proc/self/fd/${fd}`).replace(/ \(deleted\)$/, '')) !== undefined;
}

function noteWrite(fd, bytes, at) {
  if (isBelow(fd)) note({ op: 'write', file: idOf(fd), at, data: Buffer.from(bytes).toString('latin1') });
}

function noteTruncate(fd, size) {
  if (isBelow(fd)) note({ op: 'truncate', file: idOf(fd), size });
}

/** What is written while it is synced may be lost: only what was there before is sure. */
function beginSync(fd) {
  if (fs.fstatSync(fd).isDirectory()) {
    const directory = path.relative(root, fs.readlinkSync(`/proc/self/fd/${fd}`));
    if (directory.startsWith('..')) return () => {};
    return syncOf({ directory });
  }
  return isBelow(fd) ? syncOf({ file: idOf(fd) }) : () => {};
}

function syncOf(what) {
  const number = `${threadId}-${++syncs}`;
  note({ op: 'sync', number, ...what });
  return () => note({ op: 'synced', number });
}

const makes = (flags) =>
  typeof flags === 'string' ? /[wa]/.test(flags) : ((flags ?? 0) & fs.constants.O_CREAT) !== 0;
const exists = (name) => fs.lstatSync(name, { throwIfNoEntry: false }) !== undefined;
const written = (buffers, count) =>
  Buffer.concat(buffers.map((each) => Buffer.from(each))).subarray(0, count);

/** Replaces a function by one that makes ready before, and takes note after it went well. */
function patch(owner, name, wrap) {
  owner[name] = wrap(owner[name]);
}

function patchCallback(name, before) {
  patch(
    fs,
    name,
    (original) =>
      function noted(...args) {
        const after = before(...args);
        const callback = args.pop();
        return original.call(this, ...args, (error, result) => {
          if (!error) after?.(result);
          callback(error, result);
        });
      },
  );
}

function patchPromise(owner, name, before) {
  patch(
    owner,
    name,
    (original) =>
      async function noted(...args) {
        const after = before.apply(this, args);
        const result = await original.apply(this, args);
        after?.(result);
        return result;
      },
  );
}

const beforeOpen = (descriptorOf) => (name, flags) => {
  if (!makes(flags) || exists(name)) return undefined;
  return (opened) => noteAt(name, { op: 'link', file: idOf(descriptorOf(opened)) });
};

patch(fs, 'writevSync', (original) => (fd, buffers) => {
  const count = original(fd, buffers);
  noteWrite(fd, written(buffers, count));
  return count;
});
patch(fs, 'fdatasyncSync', (original) => (fd) => {
  const synced = beginSync(fd);
  original(fd);
  synced();
});
patch(fs, 'ftruncateSync', (original) => (fd, size) => {
  original(fd, size);
  noteTruncate(fd, size);
});
patch(fs, 'unlinkSync', (original) => (name) => {
  original(name);
  noteAt(name, { op: 'unlink' });
});
/** What the program tells; what another program would write, it writes so. */
patch(fs, 'writeSync', (original) => (fd, text, ...rest) => {
  if (fd === 1) note({ op: 'fact', fact: JSON.parse(text) });
  return original(fd, text, ...rest);
});
patch(fs, 'appendFileSync', (original) => (name, text) => {
  const isNew = !exists(name);
  original(name, text);
  const fd = fs.openSync(name, 'r');
  if (isNew) noteAt(name, { op: 'link', file: idOf(fd) });
  noteWrite(fd, Buffer.from(text));
  beginSync(fd)();
  fs.closeSync(fd);
  syncOf({ directory: placeOf(name).directory })();
});
patchCallback('writev', (fd, buffers) => (count) => noteWrite(fd, written(buffers, count)));
patchCallback('write', (fd, bytes, offset, length, position) => (count) => {
  noteWrite(fd, bytes.subarray(offset, offset + Math.min(length, count)), position);
});
patchCallback('ftruncate', (fd, size) => () => noteTruncate(fd, size));
patchCallback('fdatasync', beginSync);
patchCallback('fsync', beginSync);
patchCallback(
  'open',
  beforeOpen((fd) => fd),
);
patchPromise(fs.promises, 'mkdir', (name) => {
  if (exists(name)) return undefined;
  return () => noteAt(name, { op: 'mkdir' });
});
patchPromise(fs.promises, 'rename', (from, to) => {
  const source = placeOf(from);
  return () => {
    if (source?.directory === placeOf(to)?.directory) return noteAt(to, { op: 'rename', from: source?.name });
    // What is in one directory is kept, or not, whatever is kept of the other one.
    noteLink(to);
    return source && note({ ...source, op: 'unlink' });
  };
});
patchPromise(fs.promises, 'unlink', (name) => () => noteAt(name, { op: 'unlink' }));
patchPromise(fs.promises, 'rm', (name) => {
  if (!exists(name)) return undefined;
  return () => noteAt(name, { op: 'unlink' });
});
patchPromise(fs.promises, 'truncate', (name, size = 0) => () => {
  const fd = fs.openSync(name, 'r');
  noteTruncate(fd, size);
  fs.closeSync(fd);
});
function noteLink(name, content) {
  const fd = fs.openSync(name, 'r');
  noteAt(name, { op: 'link', file: idOf(fd) });
  if (content !== undefined) noteWrite(fd, content);
  fs.closeSync(fd);
}
patchPromise(fs.promises, 'link', (_from, to) => () => noteLink(to));
patchPromise(fs.promises, 'copyFile', (_from, to) => () => noteLink(to, fs.readFileSync(to)));

/** What is remembered of files: of what was not synced a disk has what came first. */
if (isMainThread) {
  patchPromise(require('classic-level').ClassicLevel.prototype, 'batch', function before(changes, { sync }) {
    const store = path.relative(root, this.location);
    note({ op: 'batch', store, changes });
    return sync ? syncOf({ store }) : undefined;
  });
}

/** The methods of file handles, which are to be had from one only. */
let isPatched = false;
patchPromise(
  fs.promises,
  'open',
  beforeOpen(({ fd }) => fd),
);
const openAndNote = fs.promises.open;
fs.promises.open = async function openAndPatch(...args) {
  const handle = await openAndNote.apply(this, args);
  if (isPatched) return handle;
  isPatched = true;
  const prototype = Object.getPrototypeOf(handle);
  for (const name of ['writeFile', 'appendFile']) {
    patchPromise(prototype, name, function before(data) {
      return () => noteWrite(this.fd, Buffer.from(data));
    });
  }
  patchPromise(prototype, 'write', function before(bytes, offset, length, position) {
    return () => noteWrite(this.fd, bytes.subarray(offset, offset + length), position);
  });
  patchPromise(prototype, 'truncate', function before(size = 0) {
    return () => noteTruncate(this.fd, size);
  });
  for (const name of ['sync', 'datasync']) {
    patchPromise(prototype, name, function before() {
      return beginSync(this.fd);
    });
  }
  return handle;
};

syncBuiltinESMExports();
