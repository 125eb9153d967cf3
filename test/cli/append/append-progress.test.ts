import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { startSource } from '../../support/http/source.ts';
import { OriginalFollower } from '../../support/original/clients.ts';
import { OriginalServer } from '../../support/original/server.ts';
import { APPEND, shell } from '../../support/programs/shell.ts';
import { hasTerminals, Terminal } from '../../support/programs/terminal.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { FakeServer } from '../../support/websocket/fake-server.ts';

const servers = serverForAll();

describe.skipIf(!hasTerminals)('httpfstream-append at a terminal', () => {
  test('shows a bar with percent, amount and rate when the size is known, and how it went', async () => {
    const server = await servers.guest();
    let sendRest = () => {};
    const source = await startSource((_, response) => {
      response.writeHead(200, { 'content-length': 2_000_000 });
      response.write(Buffer.alloc(500_000));
      sendRest = () => void response.end(Buffer.alloc(1_500_000));
    });
    const terminal = new Terminal(`${APPEND} --from-url ${source} ${server.url('/a')}`);
    await waitFor(
      () => /\[=====> {14}\] 25% 500\.0 kB of 2\.0 MB, \d+\.\d [kM]B\/s, \d+ s left/.test(terminal.output),
      'the bar',
    );
    expect(terminal.showsCursor).toBe(false);
    sendRest();
    expect(await terminal.ended).toMatchObject({ exitCode: 0 });
    expect(terminal.output).toMatch(/✔ appended 2\.0 MB in \d+\.\d s \(\d+\.\d [kM]B\/s\)/);
    expect(terminal.showsCursor).toBe(true);
  });

  test('the bar shows what the server has acknowledged, not what it was sent, and the cursor is back after Ctrl-C', async () => {
    const size = 2_000_000;
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'open', generation: 1, position: 0, live: true });
      connection.websocket.on('message', () => {
        if (connection.byteCount === size) connection.tell({ type: 'ack', position: size / 4 });
      });
    });
    const file = path.join(await temporaryDirectory(), 'file');
    await writeFile(file, Buffer.alloc(size));
    const terminal = new Terminal(`${APPEND} --from-file ${file} ${server.url}`);
    await waitFor(() => terminal.output.includes('25% 500.0 kB of 2.0 MB'), 'the bar');
    expect(terminal.output).not.toContain('100%');
    expect(terminal.showsCursor).toBe(false);
    terminal.ctrlC();
    expect(await terminal.ended).toMatchObject({ exitCode: 130 });
    expect(terminal.showsCursor).toBe(true);
  });

  test('of a server that acknowledges nothing it shows what was sent', async () => {
    const server = await OriginalServer.start();
    const source = await startSource((_, response) => {
      response.writeHead(200, { 'content-length': 2_000_000 });
      response.write(Buffer.alloc(500_000));
    });
    const terminal = new Terminal(`${APPEND} --from-url ${source} ${server.url('/a')}`);
    await waitFor(() => terminal.output.includes('25% 500.0 kB of 2.0 MB'), 'the bar');
    terminal.ctrlC();
    expect(await terminal.ended).toMatchObject({ exitCode: 130 });
  });

  test('the bar begins where --resume goes on', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, Buffer.alloc(500_000));
    const source = await startSource((request, response) => {
      const isPart = request.headers.range === 'bytes=500000-';
      const range = isPart ? { 'content-range': 'bytes 500000-999999/1000000' } : {};
      response.writeHead(isPart ? 206 : 200, { 'content-length': isPart ? 500_000 : 1_000_000, ...range });
      response.write('x');
    });
    const terminal = new Terminal(`${APPEND} --resume --from-url ${source} ${server.url('/a')}`);
    await waitFor(() => terminal.output.includes('50% 500.0 kB of 1.0 MB'), 'the bar');
    terminal.ctrlC();
    expect(await terminal.ended).toMatchObject({ exitCode: 130 });
  });

  test('shows what was sent and acknowledged when the size is not known; lines come between', async () => {
    const server = await servers.guest();
    const fifo = `printf '%01500d' 0; read line`;
    const terminal = new Terminal(`${APPEND} -v ${server.url('/a')} -- sh -c "${fifo}"`);
    await waitFor(
      () => /1\.5 kB sent, 1\.5 kB acknowledged, \d+(\.\d)? k?B\/s/.test(terminal.output),
      'the numbers',
    );
    terminal.type('\n');
    expect(await terminal.ended).toMatchObject({ exitCode: 0 });
    expect(terminal.output).toMatch(/✔ appended 1\.5 kB in [^\n]*\r\nfinished appending from [^\n]*\r\n/);
    expect(terminal.showsCursor).toBe(true);
  });

  test('the cursor is back after a failure', async () => {
    const server = await servers.guest();
    let cut = () => {};
    const source = await startSource((_request, response) => {
      response.writeHead(200, { 'content-length': 2_000_000 });
      response.write('x');
      cut = () => response.destroy();
    });
    const terminal = new Terminal(`${APPEND} --from-url ${source} ${server.url('/a')}`);
    await waitFor(() => terminal.output.includes('0% 1 B of 2.0 MB'), 'the bar');
    expect(terminal.showsCursor).toBe(false);
    cut();
    expect(await terminal.ended).toMatchObject({ exitCode: 1 });
    expect(terminal.showsCursor).toBe(true);
  });

  test('shows nothing when --tee writes to the same terminal, nor while somebody types', async () => {
    const server = await servers.guest();
    const tee = new Terminal(`${APPEND} --tee ${server.url('/a')} -- echo hello`);
    expect((await tee.ended).stdout.toString()).toBe('hello\r\n');
    const typed = new Terminal(`${APPEND} ${server.url('/b')}`);
    typed.type('hello\n\u0004');
    expect(await typed.ended).toMatchObject({ exitCode: 0 });
    expect(typed.output).not.toContain('appended');
    expect(await readFile(`${server.root}/b`, 'utf8')).toBe('hello\n');
  });

  test('shows nothing on a terminal that does not know its width', async () => {
    const server = await servers.guest();
    const terminal = new Terminal(`${APPEND} ${server.url('/a')} -- echo hello`, { columns: 0 });
    expect((await terminal.ended).stdout.toString()).toBe('');
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('hello\n');
  });

  test('shows it when --tee writes elsewhere', async () => {
    const server = await servers.guest();
    const file = path.join(await temporaryDirectory(), 'copy');
    const terminal = new Terminal(`${APPEND} --tee ${server.url('/a')} -- echo hello > ${file}`);
    expect(await terminal.ended).toMatchObject({ exitCode: 0 });
    expect(terminal.output).toContain('✔ appended 6 B');
    expect(await readFile(file, 'utf8')).toBe('hello\n');
  });

  test('Ctrl-C goes to a command, what it still says is appended, and its exit code is passed on', async () => {
    const server = await servers.guest();
    const script = `trap "echo goodbye; exit 9" INT; echo hello; while :; do sleep 0.05; done`;
    const terminal = new Terminal(`${APPEND} ${server.url('/a')} -- sh -c '${script}'`);
    await waitFor(
      () =>
        readFile(`${server.root}/a`, 'utf8').then(
          (text) => text === 'hello\n',
          () => false,
        ),
      'the command',
    );
    const follower = await OriginalFollower.connect(server.url('/a'));
    terminal.ctrlC();
    expect(await terminal.ended).toMatchObject({ exitCode: 9 });
    expect(await follower.outcome).toMatchObject({ exitCode: 0, closeCode: 1000 });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('hello\ngoodbye\n');
    expect(terminal.showsCursor).toBe(true);
  });

  test('a second Ctrl-C does not wait for a command that ignores the first', async () => {
    const server = await servers.guest();
    const terminal = new Terminal(
      `${APPEND} ${server.url('/a')} -- sh -c 'trap "echo no" INT; echo $$; while :; do sleep 0.05; done'`,
    );
    const text = () => readFile(`${server.root}/a`, 'utf8').catch(() => '');
    await waitFor(async () => (await text()) !== '', 'the command');
    const pid = Number((await text()).trim());
    terminal.ctrlC();
    await waitFor(async () => (await text()).endsWith('no\n'), 'what it says of that');
    terminal.ctrlC();
    expect(await terminal.ended).toMatchObject({ exitCode: 130 });
    expect(terminal.output).toContain(': interrupted');
    expect(terminal.showsCursor).toBe(true);
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has got a SIGPIPE.
    }
  });
});

describe('httpfstream-append without a terminal', () => {
  test('shows no progress', async () => {
    const server = await servers.guest();
    const file = path.join(await temporaryDirectory(), 'file');
    await writeFile(file, Buffer.alloc(1_000_000));
    const command = shell(`${APPEND} --from-file ${file} ${server.url('/a')}`);
    expect(await command.ended).toMatchObject({ exitCode: 0, stderr: '', stdout: Buffer.alloc(0) });
  });
});
