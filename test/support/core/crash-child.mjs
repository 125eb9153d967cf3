/**
 * Does one thing to a root, as a server does, and tells what it was answered: a line of JSON for each fact,
 * before and after. Run with `crash-hook.cjs`. Arguments: durability, operation, whether to close in order, and the
 * root; there may be several, to all of which the same is done at once.
 */
import { appendFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { getEnvironmentData } from 'node:worker_threads';
import { Core } from '../../../build/src/core/core.js';
import { Permit } from '../../../build/src/core/permit.js';
import { checkRoot } from '../../../build/src/core/recovery/check/root-check.js';
import { Root } from '../../../build/src/storage/root/root.js';
import { ResourcePath } from '../../../build/src/wire/resource-path.js';

const LARGE_BYTES = 300 * 1024;

/** 65 times that is more than the log holds before a checkpoint. */
const LOGGED_BYTES = 253 * 1024;

const [durability, operation, end, ...directories] = process.argv.slice(2);
const steps = getEnvironmentData('steps');

function tell(fact) {
  writeSync(1, `${JSON.stringify(fact)}\n`);
}

/** Tells what is asked for, does it, and tells what came of it. */
async function ask(fact, action) {
  tell({ ...fact, outcome: 'sent' });
  try {
    await action();
    tell({ ...fact, outcome: 'made' });
    return true;
  } catch (error) {
    tell({
      ...fact,
      outcome: error.code === 'HFS_OUTCOME_UNKNOWN' ? 'unknown' : 'refused',
      reason: String(error),
    });
    return error.code === 'HFS_OUTCOME_UNKNOWN';
  }
}

class Server {
  static async start(directory) {
    const server = new Server();
    server.directory = directory;
    server.core = new Core(await Root.open(directory), { durability, graceMs: 0 });
    await server.core.serve();
    return server;
  }

  create(name, { lines = [], ...request } = {}) {
    const { fork, ...rest } = request;
    const whole = {
      contentType: 'text/plain',
      ttlSeconds: undefined,
      expiresAt: undefined,
      isClosed: false,
      isUpload: false,
      ...rest,
      fork: fork && { source: Permit.own(ResourcePath.parse(fork)), offset: undefined, subOffset: 0 },
    };
    const content = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    return ask({ kind: 'create', path: name, lines, fork, type: whole.contentType }, async () => {
      await this.core.streams.create(Permit.own(ResourcePath.parse(name)), whole, content);
    });
  }

  append(name, line, { seq, close = false, bytes = 0 } = {}) {
    const text = `${line}${'.'.repeat(bytes)}\n`;
    return ask({ kind: 'append', path: name, lines: [line], seq, close }, async () => {
      const stream = await this.core.resources.acquire(Permit.own(ResourcePath.parse(name)));
      const producer = seq === undefined ? undefined : { id: 'p', epoch: 0, seq };
      try {
        await stream.append({
          bytes: Buffer.from(text),
          contentType: 'text/plain',
          seq: undefined,
          producer,
          close,
        });
      } finally {
        this.core.resources.release(stream);
      }
    });
  }

  delete(name) {
    return ask({ kind: 'delete', path: name }, () =>
      this.core.streams.delete(Permit.own(ResourcePath.parse(name))),
    );
  }

  async checkpoint(name) {
    const stream = await this.core.resources.acquire(Permit.own(ResourcePath.parse(name)));
    await stream.checkpoint().finally(() => this.core.resources.release(stream));
  }

  session(name, lines) {
    tell({ kind: 'session', path: name, text: lines.join('') });
    return this.#append(name, lines, { session: 's' });
  }

  /** As a relay does. */
  copy(name, lines) {
    const permit = Permit.own(ResourcePath.parse(name));
    const wanted = {
      contentType: undefined,
      copy: { generation: 7, isAtomic: true, source: { url: 'http://localhost/' } },
      ttlSeconds: undefined,
      expiresAt: undefined,
      isClosed: false,
      isUpload: false,
    };
    tell({ kind: 'copy', path: name, text: lines.join('') });
    return this.#append(name, lines, { session: 'relay', isCopying: true }, async () => {
      await this.core.streams.create(permit, wanted, Buffer.alloc(0));
    });
  }

  async #append(name, lines, request, make) {
    const owner = {
      drained() {},
      deposed() {},
      lost() {},
      safe: (position) => tell({ kind: 'safe', path: name, position }),
    };
    const appender = await this.core.sessions
      .open(Permit.own(ResourcePath.parse(name)), request, owner, make)
      .catch(() => undefined);
    for (const line of lines) appender?.append(Buffer.from(line));
    await appender?.end('finished');
  }

  /** Refused once, asked for once more, as clients do. */
  async twice(action) {
    if (!(await action())) await action();
  }
}

/** Each: what is there before, and what is done then, step by step. */
const OPERATIONS = {
  'make a stream': {
    run: (server) => server.twice(() => server.create('a/new', { lines: ['new 0'] })),
  },
  'make many streams at once': {
    run: (server) =>
      Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          server.twice(() => server.create(`a/new ${index}`, { lines: [`new ${index}`] })),
        ),
      ),
  },
  'make a fork': {
    before: (server) => server.create('source', { lines: ['source 0'] }),
    run: (server) => server.twice(() => server.create('fork', { lines: ['fork 0'], fork: 'source' })),
  },
  'make a stream that expires': {
    run: (server) => server.twice(() => server.create('new', { lines: ['new 0'], ttlSeconds: 600 })),
  },
  'append to a stream': {
    before: (server) => server.create('stream'),
    run: (server) => server.twice(() => server.append('stream', 'line 0')),
  },
  'append to a stream as a producer': {
    before: async (server) => {
      await server.create('stream');
      await server.append('stream', 'line 0', { seq: 0 });
    },
    run: async (server) => {
      await server.twice(() => server.append('stream', 'line 1', { seq: 1 }));
      await server.twice(() => server.append('stream', 'line 2', { seq: 2 }));
    },
  },
  'append for the first time as a producer': {
    before: (server) => server.create('stream', { lines: ['begun'] }),
    run: (server) => server.twice(() => server.append('stream', 'line 0', { seq: 0 })),
  },
  'append to many streams at once': {
    before: async (server) => {
      for (const name of ['one', 'two', 'three']) {
        await server.create(name);
        await server.append(name, `${name} 0`, { seq: 0 });
      }
    },
    run: (server) =>
      Promise.all(
        ['one', 'two', 'three'].flatMap((name) => [
          server.twice(() => server.append(name, `${name} 1`, { seq: 1 })),
          name === 'two' ? undefined : server.twice(() => server.append(name, `${name} 2`, { seq: 2 })),
        ]),
      ),
  },
  'append much at once': {
    before: async (server) => {
      await server.create('stream');
      await server.append('stream', 'line 0', { seq: 0 });
    },
    run: async (server) => {
      await server.twice(() => server.append('stream', 'large 1', { seq: 1, bytes: LARGE_BYTES }));
      await server.twice(() => server.append('stream', 'line 2', { seq: 2 }));
    },
  },
  'append much to a file that nobody made as a stream': {
    before: (server) => {
      appendFileSync(path.join(server.directory, 'plain'), 'plain 0\n');
      tell({ kind: 'create', path: 'plain', lines: ['plain 0'], outcome: 'made' });
      return server.append('plain', 'line 0');
    },
    run: (server) => server.twice(() => server.append('plain', 'large 1', { bytes: LARGE_BYTES })),
  },
  'append much while another stream is brought up to date': {
    before: async (server) => {
      for (const name of ['stream', 'other']) await server.create(name);
      for (let seq = 0; seq < 64; seq++)
        await server.append('other', `other ${seq}`, { seq, bytes: LOGGED_BYTES });
    },
    // The log becomes so long that there is a checkpoint at once.
    run: async (server) => {
      const large = server.twice(() => server.append('stream', 'large 0', { bytes: LARGE_BYTES }));
      for (const seq of [64, 65]) {
        await server.twice(() => server.append('other', `other ${seq}`, { seq, bytes: LOGGED_BYTES }));
      }
      await large;
    },
  },
  'append the last line': {
    before: (server) => server.create('stream'),
    run: (server) => server.twice(() => server.append('stream', 'line 0', { close: true })),
  },
  'set aside what no producer knows': {
    before: async (server) => {
      await server.create('stream');
      await server.append('stream', 'line 0', { seq: 0 });
      await server.core.close();
      appendFileSync(path.join(server.directory, 'stream'), 'foreign\n');
      return Server.start(server.directory);
    },
    run: (server) => server.twice(() => server.append('stream', 'line 1', { seq: 1 })),
  },
  'append in a session': {
    before: async (server) => {
      await server.create('stream');
      await server.append('stream', 'line 0');
    },
    run: (server) => server.session('stream', ['session 0\n', 'session 1\n']),
  },
  'copy what is elsewhere': {
    run: (server) => server.copy('a/copy', ['copy 0\n', 'copy 1\n']),
  },
  'bring a record up to date': {
    before: async (server) => {
      await server.create('stream');
      await server.append('stream', 'line 0', { seq: 0 });
      await server.append('stream', 'line 1', { seq: 1 });
    },
    run: (server) => server.checkpoint('stream').catch(() => undefined),
  },
  'close in order': {
    before: async (server) => {
      for (const name of ['one', 'two']) {
        await server.create(name);
        await server.append(name, `${name} 0`, { seq: 0 });
        await server.append(name, `${name} 1`, { seq: 1 });
      }
    },
    run: (server) => server.core.close(),
  },
  'delete a stream': {
    before: async (server) => {
      await server.create('stream', { ttlSeconds: 600 });
      await server.append('stream', 'line 0', { seq: 0 });
    },
    run: (server) => server.twice(() => server.delete('stream')),
  },
  'delete a stream that was forked': {
    before: async (server) => {
      await server.create('source', { lines: ['source 0'] });
      await server.create('fork', { lines: ['fork 0'], fork: 'source' });
    },
    run: (server) => server.twice(() => server.delete('source')),
  },
  'delete the last fork': {
    before: async (server) => {
      await server.create('source', { lines: ['source 0'] });
      await server.create('fork', { lines: ['fork 0'], fork: 'source' });
      await server.create('fork of fork', { lines: ['fork of fork 0'], fork: 'fork' });
      await server.delete('source');
      await server.delete('fork');
    },
    run: (server) => server.twice(() => server.delete('fork of fork')),
  },
  'delete what has outlived its time': {
    before: async (server) => {
      await server.create('source', { lines: ['source 0'] });
      const expiresAt = new Date(Date.now() + 50).toISOString();
      tell({ kind: 'expire', path: 'stream' });
      await server.create('stream', { lines: ['stream 0'], fork: 'source', expiresAt });
      await server.delete('source');
      await delay(60);
    },
    run: async (server) => {
      const file = await server.core.resources
        .open(Permit.own(ResourcePath.parse('stream')))
        .catch(() => undefined);
      await file?.close();
    },
  },
  'recover after a kill': {
    isSecond: true,
    run: async (_server, directory) => {
      await Server.start(directory);
    },
  },
  'check after a kill': {
    isSecond: true,
    run: async (_server, directory) => {
      await checkRoot(await Root.open(directory), () => {});
    },
  },
  'be killed with streams that expire': {
    before: async (server) => {
      for (const name of ['one', 'two']) {
        await server.create(name, { ttlSeconds: 600 });
        await server.append(name, `${name} 0`);
      }
    },
    run: async () => {},
  },
  /** For those that are second. */
  'be killed': {
    before: async (server) => {
      await server.create('source', { lines: ['source 0'] });
      await server.create('fork', { lines: ['fork 0'], fork: 'source' });
      await server.delete('source');
      for (const name of ['one', 'two']) {
        await server.create(name);
        for (const seq of [0, 1, 2]) await server.append(name, `${name} ${seq}`, { seq });
      }
      await server.append('one', 'large 3', { seq: 3, bytes: LARGE_BYTES });
    },
    run: async () => {},
  },
};

const { before, run, isSecond } = OPERATIONS[operation];
const servers = await Promise.all(
  directories.map(async (directory) => {
    const server = isSecond ? undefined : await Server.start(directory);
    const another = await before?.(server);
    return another instanceof Server ? another : server;
  }),
);
Atomics.store(steps, 1, 1);
await Promise.all(servers.map((server, index) => run(server, directories[index])));
if (end === 'close') await Promise.all(servers.map((server) => server?.core.close().catch(() => undefined)));
Atomics.store(steps, 1, 0);
tell({ kind: 'end', steps: Atomics.load(steps, 0) });
process.kill(process.pid, 'SIGKILL');
