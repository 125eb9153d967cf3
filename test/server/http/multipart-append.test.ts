import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { assert, describe, expect, it, onTestFinished, test, vi } from 'vitest';
import { SessionRegistry } from '../../../src/core/sessions/session-registry.ts';
import { partName } from '../../../src/server/http/multipart-append.ts';
import { ClientSocket } from '../../../src/server/node/connections/client-socket.ts';
import { InvalidPathError } from '../../../src/wire/errors.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';
import { descriptorsBackTo, openDescriptors } from '../../support/disk/descriptors.ts';
import { resourceNames } from '../../support/disk/root-files.ts';
import { smallDisks } from '../../support/disk/small-disk.ts';
import { Download, Upload } from '../../support/http/bodies.ts';
import { BOUNDARY, FORM_TYPE, type FormPart, formOf, headOf, partOf } from '../../support/http/form.ts';
import { openSocket, parseAnswer, readHead } from '../../support/http/raw.ts';
import { get, jsonOf, upload } from '../../support/http/request.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { pattern } from '../../support/pattern.ts';
import { startServer, startStandalone, temporaryDirectory } from '../../support/server/server.ts';
import { guestFor, serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor, waitForStandstill } from '../../support/wait-for.ts';
import { fileText, openAppender } from '../../support/websocket/appends.ts';

const common = serverForAll();

const MiB = 1024 * 1024;
const APPEND = '?verb=APPEND';
const FORM = { 'content-type': FORM_TYPE };

type Entry = {
  name: string;
  path?: string;
  position?: number;
  bytes?: number;
  status?: number;
  code?: string;
};

function post(url: string, parts: readonly FormPart[], headers = {}) {
  return upload(url, formOf(parts), { method: 'POST', headers: { ...FORM, ...headers } });
}

describe('a form with verb APPEND', () => {
  it.each([1000, 60_000, 65_536, 110_000, 200_000, MiB])(
    'skips a part of %d bytes that is none of a form, and goes on behind it',
    async (size) => {
      const server = await common.guest();
      const strange = `--${BOUNDARY}\r\nContent-Disposition: attachment\r\n\r\n${'x'.repeat(size)}\r\n`;
      for (const after of [[], [{ filename: 'a', body: 'content' }]]) {
        const body = Buffer.concat([Buffer.from(strange), formOf(after)]);
        const answer = await upload(server.url(`/d/${APPEND}`), body, { method: 'POST', headers: FORM });
        expect(answer.status).toBe(after.length === 0 ? 400 : 201);
      }
      expect(await fileText(server, '/d/a')).toBe('content');
    },
  );

  it('refuses names that are not UTF-8, which would all be one, and stores the others', async () => {
    const server = await common.guest();
    const partNamed = (name: string) =>
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name=a; filename="${name}"\r\n\r\n${name.length}\r\n`;
    const names = ['M\xe4rz.log', 'M\xfcrz.log', 'M\xc3\xa4rz.log'];
    const body = Buffer.from(`${names.map(partNamed).join('')}--${BOUNDARY}--\r\n`, 'latin1');
    const answer = await upload(server.url(`/d/${APPEND}`), body, { method: 'POST', headers: FORM });
    expect(answer.status).toBe(400);
    expect(jsonOf(answer)).toMatchObject([
      { status: 400, code: 'HFS_INVALID_PATH' },
      { status: 400, code: 'HFS_INVALID_PATH' },
      { name: 'März.log', bytes: 1 },
    ]);
    expect(await readdir(path.join(server.root, 'd'))).toEqual(['März.log']);
  });

  it.each(['PUT', 'POST'])('stores each of its files, and says what became of it, by %s', async (method) => {
    const server = await common.guest();
    const body = formOf([
      { filename: 'a.log', body: 'first' },
      { body: 'a field' },
      { filename: 'b.log', body: '', headers: ['Content-Type: text/plain'] },
    ]);
    const url = server.url(`/new/dir/${APPEND}`);
    const answer = await upload(url, body, { method, headers: FORM });
    const generation = expect.any(Number);
    expect([answer.status, answer.headers['content-type']]).toEqual([201, 'application/json; charset=utf-8']);
    expect(jsonOf(answer)).toEqual([
      { name: 'a.log', path: server.path('/new/dir/a.log'), position: 5, bytes: 5, generation },
      { name: 'b.log', path: server.path('/new/dir/b.log'), position: 0, bytes: 0, generation },
    ]);
    const again = await upload(url, formOf([{ filename: 'a.log', body: ' more' }]), {
      method,
      headers: FORM,
    });
    expect([again.status, jsonOf<Entry[]>(again)[0]?.position]).toEqual([200, 10]);
    expect(await fileText(server, '/new/dir/a.log')).toBe('first more');
  });

  it('goes to a directory that is there without the slash, and to the root', async () => {
    const server = await startServer();
    await mkdir(path.join(server.root, 'd'));
    for (const urlPath of ['/d', '/d/', '/']) {
      expect(
        (await post(server.url(`${urlPath}${APPEND}`), [{ filename: 'f', body: 'x' }])).status,
      ).toBeLessThan(300);
    }
    expect([await fileText(server, '/d/f'), await fileText(server, '/f')]).toEqual(['xx', 'x']);
  });

  it('is seen while it comes, part after part', async () => {
    const server = await common.guest();
    const form = new Upload(server.url(`/d/${APPEND}`), { method: 'POST', headers: FORM });
    for (const name of ['a', 'b']) {
      await form.write(headOf({ filename: name }));
      await form.write('so ');
      await waitFor(async () => (await fileText(server, `/d/${name}`)) === 'so ', 'the first bytes');
      const follower = await Download.open(server.url(`/d/${name}?verb=FOLLOW`));
      await form.write('far');
      await follower.untilText('so far');
      expect(follower.end).toBeUndefined();
      await form.write('\r\n');
      if (name === 'b') break;
      await form.write(partOf({ body: 'a field between' }));
      expect(await follower.untilEnd()).toBe('clean');
    }
    const answer = await form.end(`--${BOUNDARY}--\r\n`);
    expect(jsonOf<Entry[]>(answer).map(({ bytes }) => bytes)).toEqual([6, 6]);
  });

  it('appends parts of one name one after the other', async () => {
    const server = await common.guest();
    const parts = ['one ', 'two ', 'three'].map((body) => ({ filename: 'f', body }));
    const answer = await post(server.url(`/d/${APPEND}`), parts);
    expect(jsonOf<Entry[]>(answer).map(({ position }) => position)).toEqual([4, 8, 13]);
    expect(await fileText(server, '/d/f')).toBe('one two three');
  });

  it('may be encoded, and may have text before and after', async () => {
    const server = await common.guest();
    const form = Buffer.concat([
      Buffer.from('a preamble\r\n'),
      formOf([{ filename: 'f', body: 'content' }]),
      Buffer.from('an epilogue'),
    ]);
    for (const [headers, body] of [
      [FORM, form],
      [{ ...FORM, 'content-encoding': 'gzip' }, zlib.gzipSync(form)],
    ] as const) {
      const answer = await upload(server.url(`/d/${APPEND}`), body, { headers });
      expect(answer.status).toBeLessThan(300);
    }
    expect(await fileText(server, '/d/f')).toBe('contentcontent');
  });

  it('by curl stores several files at once', async () => {
    const server = await common.guest();
    const directory = await temporaryDirectory();
    for (const name of ['a b.txt', 'ü"q.txt']) await writeFile(path.join(directory, name), name);
    const { stdout } = await promisify(execFile)('curl', [
      '-s',
      ...['a b.txt', 'ü\\"q.txt'].flatMap((name) => ['-F', `f=@"${directory}/${name}"`]),
      server.url(`/d/${APPEND}`),
    ]);
    const entries = JSON.parse(stdout) as Entry[];
    expect(entries.map(({ bytes }) => bytes)).toEqual([7, 8]);
    expect(entries[0]?.path).toBe(server.path('/d/a b.txt'));
    expect(entries[1]?.name).toMatch(/^ü("|%22)q\.txt$/);
  });

  it('keeps its connection for the next request', async () => {
    const { port, path: own } = await common.guest();
    const socket = await openSocket(port);
    const body = formOf([{ filename: 'f', body: 'x' }]).toString();
    for (const position of [1, 2]) {
      socket.write(
        `POST ${own('/d/')}${APPEND} HTTP/1.1\r\nHost: test\r\nContent-Type: ${FORM_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n` +
          `${body.length.toString(16)}\r\n${body}\r\n`,
      );
      await new Promise(setImmediate);
      socket.write('0\r\n\r\n');
      const answer = parseAnswer(await readHead(socket));
      expect(JSON.parse(answer.body)[0].position).toBe(position);
    }
  });

  it('is the same bytes, however it is torn on the way and whatever is in it', async () => {
    const server = await common.guest();
    let run = 0;
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .constantFrom(
          '\r\n',
          '\r\n--',
          `\r\n--${BOUNDARY.slice(0, -1)}`,
          `--${BOUNDARY}`,
          '\r\r\n-',
          '\n\r\n--',
        )
        .map((text) => new Uint8Array(Buffer.from(text))),
    );
    const body = fc.array(bytes, { maxLength: 6 }).map((pieces) => Buffer.concat(pieces));
    await fc.assert(
      fc.asyncProperty(
        fc.array(body, { minLength: 1, maxLength: 4 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 }),
        async (bodies, steps) => {
          // A body that holds the delimiter ends there.
          fc.pre(
            bodies.every((one) => !Buffer.concat([Buffer.from('\r\n'), one]).includes(`\r\n--${BOUNDARY}`)),
          );
          run++;
          const form = formOf(bodies.map((one, i) => ({ filename: `${i}`, body: one })));
          const sent = new Upload(server.url(`/run-${run}/${APPEND}`), { headers: FORM });
          for (let at = 0, i = 0; at < form.length; i++) {
            const step = steps[i % steps.length] as number;
            sent.request.write(form.subarray(at, at + step));
            at += step;
            if (i % 7 === 0) await new Promise(setImmediate);
          }
          expect((await sent.end()).status).toBe(201);
          for (const [i, one] of bodies.entries()) {
            expect((await get(server.url(`/run-${run}/${i}`))).body.equals(one)).toBe(true);
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it('of many small files, in one go, stores them all', async () => {
    const server = await common.guest();
    const parts = Array.from({ length: 100 }, (_, i) => ({ filename: `f-${i}`, body: `content ${i}` }));
    const answer = await post(server.url(`/d/${APPEND}`), parts);
    expect([answer.status, jsonOf<Entry[]>(answer).length]).toEqual([201, 100]);
    expect(await fileText(server, '/d/f-99')).toBe('content 99');
  });

  it('is held back while a file waits to be opened', async () => {
    const server = await startServer();
    const sockets: Socket[] = [];
    server.app.server.on('connection', (socket) => void sockets.push(socket));
    const { open } = SessionRegistry.prototype;
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const opening = vi.spyOn(SessionRegistry.prototype, 'open');
    opening.mockImplementation(async function slowly(this: SessionRegistry, ...args) {
      await gate;
      return open.apply(this, args);
    });
    onTestFinished(() => opening.mockRestore());
    const parts = Array.from({ length: 60 }, (_, i) => ({ filename: `f-${i}`, body: pattern(i, 50_000) }));
    const answer = post(server.url(`/d/${APPEND}`), parts);
    await waitFor(() => opening.mock.calls.length > 0, 'the first file');
    const [socket] = sockets;
    assert(socket !== undefined);
    const client = ClientSocket.of(socket);
    await waitFor(() => client.isUnread, 'the client to be held back');
    await waitForStandstill(() => socket.bytesRead, 'the client to be held back for good');
    expect(client.isUnread).toBe(true);
    expect(socket.bytesRead).toBeLessThan(MiB);
    release();
    expect(jsonOf<Entry[]>(await answer).map(({ bytes }) => bytes)).toEqual(Array(60).fill(50_000));
  });

  it('of many files as long as a stream takes a bounded amount of memory', async () => {
    const server = await startServer();
    const block = pattern(0, MiB);
    const form = new Upload(server.url(`/d/${APPEND}`), { method: 'POST', headers: FORM });
    let peak = 0;
    collectGarbage();
    const baseline = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 4; i++) {
      await form.write(headOf({ filename: `f-${i}` }));
      for (let j = 0; j < 24; j++) {
        await form.write(block);
        // In the middle of one, and where what is held until a file ends is all there of the next.
        if (j !== (i % 2 === 0 ? 10 : 23)) continue;
        collectGarbage();
        peak = Math.max(peak, process.memoryUsage().arrayBuffers - baseline);
      }
      await form.write('\r\n');
    }
    const answer = await form.end(`--${BOUNDARY}--\r\n`);
    expect(jsonOf<Entry[]>(answer).map(({ bytes }) => bytes)).toEqual(Array(4).fill(24 * MiB));
    expect(peak).toBeLessThan(16 * MiB);
  });
});

describe('the name of a file', () => {
  it.each([
    ['plain.log', '/d/plain.log'],
    ['../../etc/passwd', '/d/passwd'],
    ['/etc/passwd', '/d/passwd'],
    ['C:\\\\Users\\\\me\\\\x.txt', '/d/x.txt'],
    ['a/b\\\\c', '/d/c'],
    ['.hidden', '/d/.hidden'],
    ['a b;c=d.log', '/d/a b;c=d.log'],
    ['ä ✓.log', '/d/ä ✓.log'],
    ['%2e%2e', '/d/%2e%2e'],
    ['...', '/d/...'],
  ])('is the last segment of what the client says: %s', async (filename, resource) => {
    const server = await common.guest();
    const answer = await post(server.url(`/d/${APPEND}`), [{ filename, body: 'x' }]);
    const name = resource.slice(3);
    expect([answer.status, jsonOf(answer)]).toMatchObject([201, [{ name, path: server.path(resource) }]]);
    expect(await resourceNames(path.join(server.root, 'd'))).toEqual([name]);
  });

  it.each([
    ['', 400, 'HFS_INVALID_PATH'],
    ['dir/', 400, 'HFS_INVALID_PATH'],
    ['.', 400, 'HFS_INVALID_PATH'],
    ['..', 400, 'HFS_INVALID_PATH'],
    ['a/..', 400, 'HFS_INVALID_PATH'],
    ['a\u0001b', 400, 'HFS_INVALID_PATH'],
    ['a\tb', 400, 'HFS_INVALID_PATH'],
    ['x'.repeat(256), 400, 'HFS_INVALID_PATH'],
    ['.httpfstream', 403, 'HFS_FORBIDDEN_PATH'],
    ['.HTTPFSTREAM', 403, 'HFS_FORBIDDEN_PATH'],
    ['live', 403, 'HFS_APPEND_CONFLICT'],
    ['sub', 409, 'HFS_PATH_CONFLICT'],
  ])('%j is refused, and the other files are stored', async (filename, status, code) => {
    const server = await guestFor(common, `/${filename}`);
    await mkdir(path.join(server.root, 'sub'));
    await openAppender(server, '/live', 'live');
    const answer = await post(server.url(`/${APPEND}`), [
      { filename: 'before', body: 'before' },
      { filename, body: pattern(0, 200_000) },
      { filename: 'after', body: 'after' },
    ]);
    expect(answer.status).toBe(status);
    const entries = jsonOf<Entry[]>(answer);
    expect(entries.map((entry) => entry.status ?? 0)).toEqual([0, status, 0]);
    expect(entries[1]).toEqual({ name: filename, status, code, detail: expect.stringMatching(/.{8,}/) });
    expect([await fileText(server, '/before'), await fileText(server, '/after')]).toEqual([
      'before',
      'after',
    ]);
    expect(await resourceNames(server.root)).toEqual(['after', 'before', 'live', 'sub']);
  });

  it('is missing: refused', async () => {
    const server = await common.guest();
    const part = { headers: ['Content-Type: application/octet-stream'], body: 'x' };
    const answer = await post(server.url(`/d/${APPEND}`), [part]);
    expect([answer.status, jsonOf(answer)]).toMatchObject([400, [{ name: '', status: 400 }]]);
  });
});

describe('a form is refused', () => {
  it.each([
    ['to a file', '/f', FORM_TYPE, 409, 'HFS_PATH_CONFLICT'],
    ['to a file with a slash', '/f/', FORM_TYPE, 409, 'HFS_PATH_CONFLICT'],
    ['to nothing, without a slash', '/new', FORM_TYPE, 400, 'HFS_INVALID_REQUEST'],
    ['to a reserved path', '/.httpfstream/', FORM_TYPE, 403, 'HFS_FORBIDDEN_PATH'],
    ['without a boundary', '/d/', 'multipart/form-data', 400, 'HFS_INVALID_REQUEST'],
    ['that is none', '/d/', 'multipart/form-data; boundary=other', 400, 'HFS_INVALID_REQUEST'],
  ])('%s', async (_what, urlPath, type, status, code) => {
    const server = await guestFor(common, urlPath);
    await writeFile(path.join(server.root, 'f'), 'content');
    const answer = await post(server.url(`${urlPath}${APPEND}`), [{ filename: 'x', body: 'x' }], {
      'content-type': type,
    });
    expect([answer.status, jsonOf(answer).code]).toEqual([status, code]);
    expect(await resourceNames(server.root)).toEqual(['f']);
  });

  it.each(['session=aaaaaaaaaaaaaaaaaaaa', 'expect=0', 'generation=1', 'attempt=1'])(
    'with %s, which is of one file',
    async (query) => {
      const server = await common.guest();
      const answer = await post(server.url(`/d/${APPEND}&${query}`), [{ filename: 'x', body: 'x' }]);
      expect([answer.status, await resourceNames(server.root)]).toEqual([400, []]);
    },
  );

  it('without files', async () => {
    const server = await common.guest();
    for (const parts of [[], [{ body: 'a field' }]]) {
      expect((await post(server.url(`/d/${APPEND}`), parts)).status).toBe(400);
    }
    expect((await upload(server.url(`/d/${APPEND}`), '', { headers: FORM })).status).toBe(400);
  });

  it('after a thousand parts, also when they are fields, and what came before is stored', async () => {
    const server = await common.guest();
    const fields = Array.from({ length: 999 }, () => ({ body: 'x' }));
    const files = ['kept', 'beyond'].map((filename) => ({ filename, body: 'x' }));
    const answer = await post(server.url(`/d/${APPEND}`), [...fields, ...files]);
    expect(answer.status).toBe(413);
    expect(jsonOf<Entry[]>(answer).map(({ name, code }) => [name, code])).toEqual([
      ['kept', undefined],
      ['', 'HFS_PAYLOAD_TOO_LARGE'],
    ]);
    expect(await resourceNames(path.join(server.root, 'd'))).toEqual(['kept']);
  });

  it('that has long fields or heads is no burden', async () => {
    const server = await common.guest();
    const answer = await post(server.url(`/d/${APPEND}`), [
      { body: 'x'.repeat(8 * MiB) },
      { filename: 'f', body: 'content', headers: [`X-Long: ${'x'.repeat(100_000)}`] },
      { filename: 'g', body: 'content' },
    ]);
    // What becomes of a part with such a head is busboy's affair.
    expect(jsonOf<Entry[]>(answer).at(-1)).toMatchObject({ name: 'g', bytes: 7 });
  });
});

describe('a form that breaks off', () => {
  it.each([
    ['when the connection does', true],
    ['in order', false],
  ])('%s interrupts the file that is open, and no other', async (_how, isCut) => {
    const server = await common.guest();
    const form = new Upload(server.url(`/d/${APPEND}`), { method: 'POST', headers: FORM });
    await form.write(partOf({ filename: 'whole', body: 'all of it' }));
    await form.write(headOf({ filename: 'torn' }));
    await form.write('so far');
    await waitFor(async () => (await fileText(server, '/d/torn')) === 'so far', 'the bytes');
    const torn = await Download.open(server.url('/d/torn?verb=FOLLOW'));
    if (isCut) form.cut();
    else {
      const answer = await form.end();
      expect([answer.status, jsonOf(answer)]).toMatchObject([
        400,
        [
          { name: 'whole', bytes: 9 },
          { name: 'torn', status: 400, code: 'HFS_INVALID_REQUEST' },
        ],
      ]);
    }
    expect([await torn.untilEnd(), torn.text]).toEqual(['broken', 'so far']);
    const whole = await Download.open(server.url('/d/whole?verb=FOLLOW'));
    expect([await whole.untilEnd(), whole.text]).toEqual(['clean', 'all of it']);
  });

  it.each([
    ['in a part', partOf({ filename: 'torn', body: 'some' }).subarray(0, -4), ['whole', 'torn']],
    ['in the head of a part', headOf({ filename: 'torn' }).subarray(0, 30), ['whole', '']],
  ])('by silence %s is 408 after a while, and its connection is cut', async (_where, rest, names) => {
    const server = await startServer({ bodyIdleTimeoutMs: 100 });
    const sent = Buffer.concat([partOf({ filename: 'whole', body: 'all of it' }), rest]);
    for (const headers of [FORM, { ...FORM, 'content-length': sent.length + 10 }]) {
      const form = new Upload(server.url(`/d/${APPEND}`), { method: 'POST', headers });
      await form.write(sent);
      const answer = await form.answer;
      expect([answer.status, jsonOf<Entry[]>(answer).map(({ name }) => name)]).toEqual([408, names]);
      await waitFor(() => form.request.socket?.destroyed !== false, 'the connection to be cut');
    }
    const whole = await Download.open(server.url('/d/whole?verb=FOLLOW'));
    expect([await whole.untilEnd(), whole.text]).toEqual(['clean', 'all of it'.repeat(2)]);
  });

  it('within the head of a part is refused, and the part before is whole', async () => {
    const server = await common.guest();
    const head = headOf({ filename: 'x' }).subarray(0, 30);
    const body = Buffer.concat([partOf({ filename: 'whole', body: 'all of it' }), head]);
    const answer = await upload(server.url(`/d/${APPEND}`), body, { headers: FORM });
    expect([answer.status, jsonOf<Entry[]>(answer).map(({ name, bytes }) => [name, bytes])]).toEqual([
      400,
      [
        ['whole', 9],
        ['', undefined],
      ],
    ]);
  });

  it('before its first part is refused', async () => {
    const server = await common.guest();
    for (const body of ['text', `--${BOUNDARY}`, headOf({ filename: 'x' }).subarray(0, 40)]) {
      expect((await upload(server.url(`/d/${APPEND}`), body, { headers: FORM })).status).toBe(400);
    }
    expect(await resourceNames(server.root)).toEqual([]);
  });

  it('in its encoding interrupts the file that is open', async () => {
    const server = await common.guest();
    const form = formOf([{ filename: 'f', body: pattern(0, 100_000) }]);
    const answer = await upload(server.url(`/d/${APPEND}`), zlib.gzipSync(form).subarray(0, -9), {
      headers: { ...FORM, 'content-encoding': 'gzip' },
    });
    expect(answer.status).toBe(400);
    // Its end may have come before what is missing.
    const garbage = await upload(
      server.url(`/d/${APPEND}`),
      Buffer.concat([zlib.gzipSync(form), Buffer.from('x')]),
      {
        headers: { ...FORM, 'content-encoding': 'gzip' },
      },
    );
    expect(garbage.status).toBe(400);
  });

  it('at any moment leaves nothing open and nobody in the way', async () => {
    const server = await startStandalone();
    const baseline = await openDescriptors();
    const form = formOf([
      { filename: 'a', body: 'content' },
      { filename: 'b', body: pattern(0, 5000) },
      { filename: 'c', body: 'content' },
    ]);
    for (let i = 0; i < 60; i++) {
      const socket = await openSocket(server.port);
      socket.write(
        `PUT /d-${i % 3}/${APPEND} HTTP/1.1\r\nHost: test\r\nContent-Type: ${FORM_TYPE}\r\nContent-Length: ${form.length}\r\n\r\n`,
      );
      socket.write(form.subarray(0, (i * form.length) / 60));
      for (let turns = 0; turns < i % 5; turns++) await new Promise(setImmediate);
      if (i % 2 === 0) socket.destroy();
      else socket.resetAndDestroy();
    }
    await descriptorsBackTo(baseline);
    for (let i = 0; i < 3; i++) {
      const again = () => post(server.url(`/d-${i}/${APPEND}`), [{ filename: 'b', body: '!' }]);
      await waitFor(async () => (await again()).status < 300, 'the file to be free');
    }
  });

  it.each(smallDisks())(
    'because the disk is full says so of the files that suffered: %s',
    async (_kind, make) => {
      const disk = await make();
      const server = await startServer({ root: disk.directory });
      const form = new Upload(server.url(`/d/${APPEND}`), { headers: FORM });
      await form.write(partOf({ filename: 'a', body: 'fits' }));
      await form.write(headOf({ filename: 'b' }));
      await form.write('so far');
      await waitFor(async () => (await fileText(server, '/d/b')) === 'so far', 'the bytes');
      await disk.fill(0);
      await form.write(Buffer.alloc(5 * MiB));
      const answer = await form.end(`\r\n--${BOUNDARY}--\r\n`);
      expect([answer.status, jsonOf(answer)]).toMatchObject([
        507,
        [
          { name: 'a', bytes: 4 },
          { name: 'b', status: 507, code: 'HFS_STORAGE_FULL' },
        ],
      ]);
    },
  );

  it('because the file is deleted says so, and goes on with the next', async () => {
    const server = await common.guest();
    const form = new Upload(server.url(`/d/${APPEND}`), { headers: FORM });
    await form.write(headOf({ filename: 'a' }));
    await form.write('so far');
    await waitFor(async () => (await fileText(server, '/d/a')) === 'so far', 'the bytes');
    await rm(path.join(server.root, 'd/a'));
    await form.write(Buffer.alloc(300_000));
    await form.write(Buffer.concat([Buffer.from('\r\n'), partOf({ filename: 'b', body: 'whole' })]));
    const answer = await form.end(`--${BOUNDARY}--\r\n`);
    expect([answer.status, jsonOf(answer)]).toMatchObject([
      410,
      [
        { name: 'a', status: 410, code: 'HFS_RESOURCE_GONE' },
        { name: 'b', bytes: 5 },
      ],
    ]);
  });

  it('because the server closes says so at once, within a file and between two', async () => {
    for (const rest of [headOf({ filename: 'open' }), Buffer.alloc(0)]) {
      const server = await startServer({ closeTimeoutMs: NEVER_MS });
      const form = new Upload(server.url(`/d/${APPEND}`), { headers: FORM });
      await form.write(partOf({ filename: 'whole', body: 'all of it' }));
      await form.write(rest);
      // Its end is known when the next delimiter is.
      await form.write(rest.length > 0 ? 'so far' : `--${BOUNDARY}`);
      const name = rest.length > 0 ? 'open' : 'whole';
      await waitFor(async () => (await fileText(server, `/d/${name}`)) !== '', 'the bytes');
      const closed = server.app.close();
      const answer = await form.answer;
      form.cut();
      await closed;
      const entries = jsonOf<Entry[]>(answer);
      expect([answer.status, entries[0]?.bytes, entries[1]?.code]).toEqual([503, 9, 'HFS_SERVER_CLOSING']);
      expect(await fileText(server, '/d/whole')).toBe('all of it');
    }
  });
});

test.each([
  ['a.txt', 'a.txt'],
  ['dir/a.txt', 'a.txt'],
  ['../../etc/passwd', 'passwd'],
  ['C:\\dir\\a.txt', 'a.txt'],
  ['a/b\\c', 'c'],
  ['a\\b/c', 'c'],
  ['grüße 👋', 'grüße 👋'],
  ['...', '...'],
  [' ', ' '],
])('a part %j is stored as %j', (filename, name) => {
  expect(partName(filename)).toBe(name);
});

test.each(['', 'dir/', 'dir\\', '.', '..', 'a/..', 'a\nb', 'a\u0000', '\u007f', 'gr\ufffde'])(
  'a part %j is not stored',
  (filename) => {
    expect(() => partName(filename)).toThrow(InvalidPathError);
  },
);
