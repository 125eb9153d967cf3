import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { RESERVED } from '../../support/disk/root-files.ts';
import { Random } from '../../support/random.ts';
import { InProcessServer, type RestartableServer } from '../../support/server/restartable-server.ts';
import { diskDirectory } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { RootImage, recordEnds } from '../../support/streams/root-image.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';
import { appendAll, openAppender } from '../../support/websocket/appends.ts';

/** `HTTPFSTREAM_SOAK=1` runs the long form, `npm test` the short one. */
const isSoak = process.env.HTTPFSTREAM_SOAK !== undefined;

const RANDOM_CUTS = isSoak ? 200 : 1;

const PATHS = ['/one.log', '/two.log'] as const;

/** A producer that knows what it has brought, and brings what the server says it lacks. */
class ReturningProducer {
  readonly id: string;
  readonly path: string;
  readonly #lines: string[] = [];

  constructor(id: string, urlPath: string) {
    this.id = id;
    this.path = urlPath;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Brings one more line. */
  async bring(server: RestartableServer, padding = 10): Promise<void> {
    const seq = this.#lines.length;
    this.#lines.push(`${this.id} ${seq} ${'.'.repeat(padding)}`);
    expect((await this.#post(server, seq)).status).toBe(200);
  }

  /** Begins with the line that it brought last, and goes back to where it is sent. */
  async comeBack(server: RestartableServer): Promise<void> {
    let seq = this.#lines.length - 1;
    for (let requests = 0; requests < 100 && seq < this.#lines.length; requests++) {
      const { status, headers, text } = await this.#post(server, seq);
      if (status === 409) seq = Number(headers['producer-expected-seq']);
      else if (status === 404) {
        await new StreamPeer(server, this.path).create();
        seq = 0;
      } else {
        expect([200, 204], text).toContain(status);
        seq++;
      }
    }
    expect(seq).toBe(this.#lines.length);
  }

  #post(server: RestartableServer, seq: number) {
    return new StreamPeer(server, this.path).produce(`${this.#lines[seq]}\n`, { id: this.id, seq });
  }
}

interface Scene {
  producers: ReturningProducer[];
  /** Lines of sessions, by path: a file is what they wrote, whatever becomes of the log. */
  sessionLines: Record<string, string[]>;
}

type Play = (server: RestartableServer) => Promise<Scene>;

const producersOf = (...ids: string[]) =>
  ids.map((id, index) => new ReturningProducer(id, PATHS[index % 2] as string));

async function streamsOf(server: RestartableServer): Promise<void> {
  for (const urlPath of PATHS) expect((await new StreamPeer(server, urlPath).create()).status).toBe(201);
}

/** What happened before the server was killed. */
const SCENES: Readonly<Record<string, Play>> = {
  'a few batches, no checkpoint yet': async (server) => {
    const producers = producersOf('a', 'b');
    await streamsOf(server);
    for (let k = 0; k < 3; k++) for (const producer of producers) await producer.bring(server);
    return { producers, sessionLines: {} };
  },
  'batches that came after a checkpoint': async (server) => {
    const producers = producersOf('a', 'b', 'c');
    await streamsOf(server);
    for (const producer of producers) await producer.bring(server);
    await waitForCheckpoint(server);
    for (let k = 0; k < 2; k++) for (const producer of producers) await producer.bring(server);
    return { producers, sessionLines: {} };
  },
  'batches of which one is large': async (server) => {
    const producers = producersOf('a', 'b', 'c');
    await streamsOf(server);
    for (const producer of producers) await producer.bring(server);
    await (producers[0] as ReturningProducer).bring(server, 300_000);
    for (const producer of producers) await producer.bring(server);
    return { producers, sessionLines: {} };
  },
  'a large batch first and last': async (server) => {
    const producers = producersOf('a');
    await streamsOf(server);
    for (const padding of [300_000, 10, 300_000])
      await (producers[0] as ReturningProducer).bring(server, padding);
    return { producers, sessionLines: {} };
  },
  'a session between batches': async (server) => {
    const producers = producersOf('a', 'b', 'c');
    await streamsOf(server);
    for (const producer of producers) await producer.bring(server);
    await appendAll(server, PATHS[0], 'session 0\n');
    for (const producer of producers) await producer.bring(server);
    return { producers, sessionLines: { [PATHS[0]]: ['session 0'] } };
  },
  'a session under way after batches': async (server) => {
    const producers = producersOf('a', 'b', 'c');
    await streamsOf(server);
    for (let k = 0; k < 2; k++) for (const producer of producers) await producer.bring(server);
    await openAppender(server, PATHS[0], 'session 0\n');
    await (producers[1] as ReturningProducer).bring(server);
    return { producers, sessionLines: { [PATHS[0]]: ['session 0'] } };
  },
};

/** A checkpoint begins a new log and drops the old one. */
async function waitForCheckpoint(server: RestartableServer): Promise<void> {
  const redo = path.join(server.root, RESERVED, 'redo');
  await waitFor(async () => (await readdir(redo)).length === 0, 'the journal to be dropped');
}

/**
 * What is done to the log: cut at each end of a record and a byte before it (the short form: at every
 * third end, of some that are drawn, at one of the two in turn), cut and changed anywhere.
 */
function damaged(log: Buffer, random: Random): [what: string, log: Buffer][] {
  const ends = [0, ...recordEnds(log)];
  const [first, shift] = [random.integer(0, 2), random.integer(0, 1)];
  const taken = isSoak ? ends : ends.filter((_, index) => index % 3 === first);
  const cuts = taken.flatMap((end, index) =>
    isSoak ? [end - 1, end] : [index % 2 === shift ? end - 1 : end],
  );
  cuts.push(...Array.from({ length: RANDOM_CUTS }, () => random.integer(0, log.length)));
  const inside = [...new Set(cuts)].filter((cut) => cut >= 0 && cut <= log.length).sort((a, b) => a - b);
  const flips = Array.from({ length: RANDOM_CUTS }, () => {
    const position = random.integer(0, Math.max(0, log.length - 1));
    const changed = Buffer.from(log);
    changed[position] = (changed[position] ?? 0) ^ (1 << random.integer(0, 7));
    return [`bit changed at ${position}`, changed] as [string, Buffer];
  });
  return [...inside.map((cut) => [`cut at ${cut}`, log.subarray(0, cut)] as [string, Buffer]), ...flips];
}

/** What a server leaves that is killed then. The short form takes that as it is on the disk, before it stops a server here. */
async function killedAfter(play: Play): Promise<{ scene: Scene; image: RootImage }> {
  const root = await diskDirectory();
  const server = isSoak ? new ServerProcess(root) : new InProcessServer(root, { graceMs: 0 });
  onTestFinished(async () => void (await server.stop()));
  await server.start();
  const scene = await play(server);
  if (isSoak) await server.stop();
  const image = RootImage.take(root);
  if (!isSoak) await server.stop();
  return { scene, image };
}

async function expectEachLineOnce(
  server: RestartableServer,
  { producers, sessionLines }: Scene,
  context: string,
) {
  for (const urlPath of PATHS) {
    const read = await new StreamPeer(server, urlPath).readAll();
    const file = await readFile(path.join(server.root, urlPath));
    expect(file.equals(read), `${context}: the file of ${urlPath} is not what is read`).toBe(true);
    const lines = read.toString().split('\n');
    expect(lines.pop(), context).toBe('');
    const own = producers.filter((producer) => producer.path === urlPath);
    for (const { id, lines: expected } of own) {
      const found = lines.filter((line) => line.startsWith(`${id} `));
      expect(found.map(shortened), context).toEqual(expected.map(shortened));
    }
    const others = lines.filter((line) => !own.some(({ id }) => line.startsWith(`${id} `)));
    expect(others.map(shortened), context).toEqual(sessionLines[urlPath] ?? []);
  }
}

function shortened(line: string): string {
  return line.length < 60 ? line : `${line.slice(0, 20)}… (${line.length})`;
}

describe.each(Object.entries(SCENES))('after %s, kill -9 and a journal that is torn,', (_, play) => {
  test('producers that come back bring what is missing, and nothing twice: at once, or after one more start', async () => {
    const random = Random.fromEnvironment();
    const { scene, image } = await killedAfter(play);
    expect(recordEnds(image.log).length).toBeGreaterThan(0);

    const server = new InProcessServer(image.root, { graceMs: 0 });
    onTestFinished(() => server.stop());
    for (const [index, [what, log]] of [
      ['whole', image.log] as const,
      ...damaged(image.log, random),
    ].entries()) {
      const isRestarted = Math.floor(index / 2) % 2 === 1;
      const context = `HTTPFSTREAM_SEED=${random.seed}: ${what} of ${image.log.length}${isRestarted ? ', started twice' : ''}`;
      await image.restore(log);
      await server.start();
      if (isRestarted) await server.restart();
      for (const producer of scene.producers) await producer.comeBack(server);
      await expectEachLineOnce(server, scene, context);
      await server.restart();
      await expectEachLineOnce(server, scene, `${context}, started once more`);
      await server.stop();
    }
  });
});
