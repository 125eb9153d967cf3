import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { descriptorsBackTo, openDescriptors } from '../../support/disk/descriptors.ts';
import { Download } from '../../support/http/bodies.ts';
import { get, head } from '../../support/http/request.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { startProgram } from '../../support/programs/program.ts';
import { startServer } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { appendAll, fileText, openAppender } from '../../support/websocket/appends.ts';
import { sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const common = serverForAll();

const MAX = '9007199254740991';

describe('a live range', () => {
  it.each([
    ['bytes=0-9007199254740991', 0],
    ['bytes=3-9007199254740991', 3],
    ['bytes=6-9007199254740991', 6],
    ['Bytes=3-9007199254740992', 3],
    ['bytes=3-9223372036854775807', 3],
    ['bytes=3-18446744073709551615', 3],
  ])('of what is being appended grows, and ends with it: %s', async (range, start) => {
    const server = await common.guest();
    const appender = await openAppender(server, '/f.log', 'so far');
    const answer = await Download.open(server.url('/f.log'), { headers: { range } });
    expect(answer.status).toBe(206);
    expect(answer.headers).toMatchObject({
      'content-range': `bytes ${start}-${range.split('-')[1]}/*`,
      'content-type': 'text/plain; charset=utf-8',
      'transfer-encoding': 'chunked',
      'accept-ranges': 'bytes',
      'cache-control': 'no-store, no-transform',
      'stream-position': String(start),
    });
    expect(answer.headers).not.toHaveProperty('etag');
    await appender.send(', and more');
    await answer.untilText('so far, and more'.slice(start));
    expect(answer.end).toBeUndefined();
    await appender.finish();
    expect(await answer.untilEnd()).toBe('clean');
  });

  it('breaks when the end is not clean, and lasts while the appender is away', async () => {
    const server = await startServer({ graceMs: NEVER_MS });
    const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    appender.websocket.send(Buffer.from('so far'));
    await waitFor(async () => (await fileText(server, '/f')) === 'so far', 'the bytes');
    const range = `bytes=0-${MAX}`;
    const answer = await Download.open(server.url('/f'), { headers: { range } });
    const witness = await V2Peer.follow(server.url('/f'));
    appender.websocket.terminate();
    await witness.until(() => witness.story.includes('waiting'), 'it to be away');
    const away = await Download.open(server.url('/f'), { headers: { range } });
    const back = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    // Not what an appender sends: that ends it as interrupted.
    back.websocket.send('text');
    expect([await answer.untilEnd(), answer.text]).toEqual(['broken', 'so far']);
    expect([await away.untilEnd(), away.text]).toEqual(['broken', 'so far']);
  });

  it('of what nobody appends to is an ordinary range', async () => {
    const server = await common.guest();
    await appendAll(server, '/f', 'content');
    const range = (start: number) => ({ range: `bytes=${start}-${MAX}` });
    const part = await get(server.url('/f'), range(3));
    expect([part.status, part.headers['content-range'], part.body.toString()]).toEqual([
      206,
      'bytes 3-6/7',
      'tent',
    ]);
    const beyond = await get(server.url('/f'), range(7));
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */7']);
    expect((await get(server.url('/missing'), range(0))).status).toBe(404);
  });

  it.each([
    ['that ends earlier', { range: 'bytes=3-9007199254740990' }, 206, 'bytes 3-5/6'],
    ['without an end', { range: 'bytes=3-' }, 206, 'bytes 3-5/6'],
    ['from the end', { range: 'bytes=-9007199254740991' }, 206, 'bytes 0-5/6'],
    ['beyond the end', { range: `bytes=7-${MAX}` }, 416, 'bytes */6'],
    ['far beyond the end', { range: `bytes=9007199254740990-${MAX}` }, 416, 'bytes */6'],
    ['backwards', { range: 'bytes=9007199254740993-9007199254740992' }, undefined, undefined],
    ['of another unit', { range: `lines=3-${MAX}` }, 200, undefined],
    ['of several', { range: `bytes=0-1,3-${MAX}` }, 206, undefined],
    ['with a condition that does not hold', { range: `bytes=3-${MAX}`, 'if-range': '"x"' }, 200, undefined],
  ])('is none: %s', async (_what, headers, status, contentRange) => {
    const server = await common.guest();
    await openAppender(server, '/f', 'so far');
    const answer = await get(server.url('/f'), headers);
    if (status !== undefined) expect(answer.status).toBe(status);
    if (contentRange !== undefined) expect(answer.headers['content-range']).toBe(contentRange);
    expect(answer.headers['transfer-encoding']).toBeUndefined();
  });

  it('is none by HEAD, of a directory, or of a path that has a cleaner one', async () => {
    const server = await startServer();
    await openAppender(server, '/d/f', 'so far');
    await mkdir(path.join(server.root, 'e'));
    await writeFile(path.join(server.root, 'e/index.html'), '<p>');
    const headers = { range: `bytes=0-${MAX}` };
    expect((await head(server.url('/d/f'), headers)).headers['transfer-encoding']).toBeUndefined();
    expect((await get(server.url('/d/'), headers)).status).toBe(200);
    expect((await get(server.url('/d//f'), headers)).status).toBe(301);
    expect((await get(server.url('/d/f/'), headers)).status).toBe(301);
    expect((await get(server.url('/e'), headers)).status).toBe(301);
    expect((await get(server.url('/.httpfstream/x'), headers)).status).toBe(403);
  });

  it('leaves nothing open when it is over, however it ends', async () => {
    const server = await startServer();
    const appender = await openAppender(server, '/f', 'so far');
    const baseline = await openDescriptors();
    const headers = { range: `bytes=0-${MAX}` };
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => Download.open(server.url('/f'), { headers })),
    );
    for (const { request } of answers.slice(5)) request.destroy();
    await appender.finish();
    for (const answer of answers.slice(0, 5)) expect(await answer.untilEnd()).toBe('clean');
    // The appender's own are closed by now, too.
    await descriptorsBackTo(baseline - 2);
  });

  it('does not take the place of what verb FOLLOW asks for', async () => {
    const server = await common.guest();
    await openAppender(server, '/f', 'so far');
    const answer = await Download.open(server.url('/f?verb=FOLLOW&from=1'), {
      headers: { range: `bytes=3-${MAX}` },
    });
    expect(answer.status).toBe(200);
    await answer.untilText('o far');
  });

  it('by curl follows, and curl fails when the end is not clean', async () => {
    const server = await startServer({ graceMs: 0 });
    const curl = async (urlPath: string, text: string) => {
      const program = startProgram('curl', ['-sN', '-r', `0-${MAX}`, server.url(urlPath)]);
      await waitFor(() => program.stdout().toString() === text, 'the first bytes');
      return program;
    };
    const appender = await openAppender(server, '/f', 'one ');
    const clean = await curl('/f', 'one ');
    await appender.send('two');
    await appender.finish();
    const { exitCode, stdout } = await clean.ended;
    expect([exitCode, stdout.toString()]).toEqual([0, 'one two']);
    const lost = await V2Peer.append(server.url('/g'));
    lost.websocket.send(Buffer.from('so far'));
    await waitFor(async () => (await fileText(server, '/g')) === 'so far', 'the bytes');
    const broken = await curl('/g', 'so far');
    lost.websocket.terminate();
    expect((await broken.ended).exitCode).toBe(18);
  });
});
