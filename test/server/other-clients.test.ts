import { spawnSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { runProgram } from '../support/programs/program.ts';
import { startServer } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
const hasSocat = spawnSync('socat', ['-V']).status === 0;

if (!hasFfmpeg) process.stderr.write('ffmpeg is not here: nothing is tried with it\n');
if (!hasSocat) process.stderr.write('socat is not here: nothing is tried with it\n');

const VIDEO = ['-loglevel', 'error', '-f', 'lavfi', '-i', 'testsrc=duration=6:size=320x240:rate=10'];

describe.runIf(hasFfmpeg)('ffmpeg, which sends, closes and never reads', () => {
  it('stores its segments with PUT, each whole', async () => {
    const server = await startServer();
    const hls = ['-g', '20', '-f', 'hls', '-hls_time', '2', '-hls_list_size', '0', '-method', 'PUT'];
    const encode = [...VIDEO, '-c:v', 'mpeg2video', '-fflags', '+bitexact', '-flags', '+bitexact'];
    const sent = await runProgram('ffmpeg', [...encode, ...hls, server.url('/live/out.m3u8')]);
    expect(sent).toMatchObject({ exitCode: 0, stderr: '' });
    const names = async () => (await readdir(path.join(server.root, 'live')).catch(() => [])).sort();
    await waitFor(async () => (await names()).length >= 4, 'the segments');
    const segments = (await names()).filter((name) => name.endsWith('.ts'));
    expect(segments).toEqual(['out0.ts', 'out1.ts', 'out2.ts']);
    for (const name of segments) {
      const probed = await runProgram('ffprobe', [
        ...['-v', 'error', '-count_frames', '-show_entries', 'stream=nb_read_frames', '-of', 'csv=p=0'],
        path.join(server.root, 'live', name),
      ]);
      expect(Number.parseInt(probed.stdout.toString(), 10)).toBe(20);
    }
  });

  it('appends its stream, to the last byte', async () => {
    const server = await startServer();
    const encode = [...VIDEO, '-c:v', 'mpeg2video', '-f', 'mpegts', '-fflags', '+bitexact'];
    const expected = await runProgram('ffmpeg', [...encode, 'pipe:1']);
    const target = server.url('/live.ts?verb=APPEND');
    await runProgram('ffmpeg', [...encode, '-method', 'PUT', target]);
    const content = () => readFile(path.join(server.root, 'live.ts')).catch(() => Buffer.of());
    await waitFor(async () => (await content()).length >= expected.stdout.length, 'all of it');
    expect((await content()).equals(expected.stdout)).toBe(true);
  });
});

describe.runIf(hasSocat)('socat, which closes its side when it has sent everything', () => {
  const socat = (port: number, input: string) =>
    runProgram('sh', ['-c', `printf '${input}' | socat - TCP:127.0.0.1:${port}`]);

  it.each([
    ['a file', 'GET /f HTTP/1.0\\r\\n\\r\\n'],
    ['what it follows', 'GET /f?verb=FOLLOW HTTP/1.0\\r\\n\\r\\n'],
  ])('gets %s', async (_what, input) => {
    const server = await startServer();
    await writeFile(path.join(server.root, 'f'), 'a line of text\n');
    const { stdout, exitCode } = await socat(server.port, input);
    expect(exitCode).toBe(0);
    expect(stdout.toString()).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\na line of text\n$/s);
  });

  it('appends, and is told', async () => {
    const server = await startServer();
    const head = 'PUT /f?verb=APPEND HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 4\\r\\n\\r\\n';
    const { stdout } = await socat(server.port, `${head}text`);
    expect(stdout.toString()).toContain('HTTP/1.1 201 Created');
    expect(await readFile(path.join(server.root, 'f'), 'utf8')).toBe('text');
  });
});
