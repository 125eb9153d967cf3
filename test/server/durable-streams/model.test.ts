import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Random } from '../../support/random.ts';
import { InProcessServer, type RestartableServer } from '../../support/server/restartable-server.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { type ModelStream, StreamsModel } from '../../support/streams/model.ts';
import { RootImage } from '../../support/streams/root-image.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { appendAll } from '../../support/websocket/appends.ts';

/** `HTTPFSTREAM_SOAK=1` runs the long form, `npm test` the short one. */
const IS_SOAK = process.env.HTTPFSTREAM_SOAK !== undefined;
const FACTOR = IS_SOAK ? 20 : 1;
const STEPS = IS_SOAK ? 150 : 90;

const PATHS = ['/a', '/b', '/c', '/d', '/dir/e'] as const;

const WEIGHTS = {
  create: 4,
  fork: 4,
  append: 6,
  produce: 8,
  sequence: 3,
  close: 1,
  session: 2,
  delete: 4,
  restart: 1,
} as const;

/** A server within this process that leaves what it would leave if it was killed: what is on the disk before it is closed. */
class KilledHere extends InProcessServer {
  override async stop(): Promise<void> {
    const image = RootImage.take(this.root);
    await super.stop();
    await image.restore(image.log);
  }
}

/** A process takes longer to start than all else here takes; other tests kill one. */
const startKilled = async () =>
  IS_SOAK ? ServerProcess.start(await temporaryDirectory()) : InProcessServer.start({}, KilledHere);

/** Does things at random to a server and to the model, and compares. */
class Comparison {
  readonly #server: RestartableServer;
  readonly #random: Random;
  readonly #model = new StreamsModel();
  /** What was done, for messages. */
  readonly #history: string[] = [];
  #words = 0;

  constructor(server: RestartableServer, random: Random) {
    this.#server = server;
    this.#random = random;
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) await this.#step();
    await this.#compareAll();
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const action = random.pickWeighted<keyof typeof WEIGHTS>(WEIGHTS);
    const urlPath = random.pick(PATHS);
    const stream = new StreamPeer(this.#server, urlPath);
    const model = this.#model;
    switch (action) {
      case 'create': {
        const isClosed = random.chance(0.1);
        const body = random.chance(0.5) ? this.#word() : '';
        this.#history.push(`create ${urlPath} ${body} ${isClosed}`);
        const { status } = await stream.create(isClosed ? { 'stream-closed': 'true' } : {}, body);
        this.#expect(status, model.create(urlPath, body, isClosed));
        break;
      }
      case 'fork': {
        const source = random.pick(PATHS.filter((other) => other !== urlPath));
        // What comes first, that the source is missing or that the target is not, is nowhere said.
        if (model.streams.has(urlPath) && !model.streams.has(source)) return;
        this.#history.push(`fork ${urlPath} from ${source}`);
        const { status } = await stream.create({ 'stream-forked-from': source });
        this.#expect(status, model.fork(urlPath, source));
        break;
      }
      case 'append':
      case 'sequence': {
        const body = this.#word();
        const close = random.chance(0.05);
        const seq = action === 'sequence' ? { seq: String(random.integer(10, 99)) } : {};
        this.#history.push(`append ${urlPath} ${body} ${close} ${seq.seq}`);
        const headers = {
          ...(close && { 'stream-closed': 'true' }),
          ...(seq.seq !== undefined && { 'stream-seq': seq.seq }),
        };
        const { status } = await stream.append(body, headers);
        this.#expect(status, model.append(urlPath, { body, close, ...seq }));
        break;
      }
      case 'produce': {
        const producer = this.#producer(model.streams.get(urlPath));
        const close = random.chance(0.05);
        const body = close && random.chance(0.5) ? '' : this.#word();
        this.#history.push(`produce ${urlPath} ${JSON.stringify(producer)} ${body} ${close}`);
        const { status } = await stream.produce(body, producer, close ? { 'stream-closed': 'true' } : {});
        this.#expect(status, model.append(urlPath, { body, close, producer }));
        break;
      }
      case 'close': {
        this.#history.push(`close ${urlPath}`);
        const { status } = await stream.close();
        this.#expect(status, model.append(urlPath, { body: '', close: true }));
        break;
      }
      case 'session': {
        // One to a path where nothing is makes a file whose type follows its name.
        if (!model.streams.has(urlPath)) return;
        const body = this.#word();
        this.#history.push(`session ${urlPath} ${body}`);
        const isTaken = await appendAll(this.#server, urlPath, body).then(
          () => true,
          () => false,
        );
        this.#expect(isTaken ? 1 : 0, model.appendSession(urlPath, body) ? 1 : 0);
        break;
      }
      case 'delete': {
        this.#history.push(`delete ${urlPath}`);
        const { status } = await stream.delete();
        this.#expect(status, model.delete(urlPath));
        break;
      }
      case 'restart':
        this.#history.push('restart');
        await this.#server.restart();
        return this.#compareAll();
    }
    await this.#compare(urlPath);
  }

  /** Most often the next one, now and then one of before, too late or too early. */
  #producer(stream: ModelStream | undefined): { id: string; epoch: number; seq: number } {
    const id = this.#random.pick(['p', 'q']);
    const last = stream?.producers.get(id) ?? { epoch: 0, seq: -1 };
    const kind = this.#random.pickWeighted({
      next: 10,
      same: 3,
      before: 1,
      gap: 1,
      epoch: 2,
      stale: 1,
      skip: 1,
    });
    const seq = Math.max(0, last.seq + ({ next: 1, before: -1, gap: 2 }[kind as string] ?? 0));
    switch (kind) {
      case 'epoch':
        return { id, epoch: last.epoch + 1, seq: 0 };
      case 'skip':
        return { id, epoch: last.epoch + 1, seq: 1 };
      case 'stale':
        return { id, epoch: Math.max(0, last.epoch - 1), seq };
      default:
        return { id, epoch: last.epoch, seq };
    }
  }

  #word(): string {
    const word = `${this.#words++};`;
    // Now and then longer than what goes through the journal.
    return this.#random.chance(0.03) ? `${word.padStart(300_000, '.')}` : word;
  }

  async #compareAll(): Promise<void> {
    for (const urlPath of PATHS) await this.#compare(urlPath);
  }

  async #compare(urlPath: string): Promise<void> {
    const stream = new StreamPeer(this.#server, urlPath);
    const expected = this.#model.streams.get(urlPath);
    const head = await stream.head();
    if (expected === undefined) return this.#expect(head.status, 404);
    if (expected.isBuried) return this.#expect(head.status, 410);
    this.#expect(head.status, 200);
    this.#expect(head.headers['stream-closed'], expected.isClosed ? 'true' : undefined);
    this.#expect(head.headers['content-type'], 'text/plain');
    const read = await stream.readAll();
    this.#expect(shortened(read), shortened(Buffer.from(expected.body)));
    const file = await readFile(path.join(this.#server.root, urlPath));
    this.#expect(shortened(file), shortened(Buffer.from(expected.body)));
  }

  #expect(actual: unknown, expected: unknown): void {
    const history = this.#history.slice(-25).map((line) => line.replaceAll(/\.{9,}/g, '…'));
    expect(actual, `HTTPFSTREAM_SEED=${this.#random.seed}, after\n${history.join('\n')}\n`).toEqual(expected);
  }
}

function shortened(bytes: Buffer): string {
  return bytes.toString().replaceAll(/\.{9,}/g, (dots) => `<${dots.length} dots>`);
}

test.each([
  ['closed and started again', () => InProcessServer.start(), FACTOR],
  [IS_SOAK ? 'killed and started again' : 'started again from what a kill would leave', startKilled, FACTOR],
] as const)(
  'whatever is done to streams on a server that is now and then %s, they are what the protocol says',
  async (_, start, programs) => {
    const random = Random.fromEnvironment();
    for (let program = 0; program < programs; program++) {
      await new Comparison(await start(), new Random(random.seed + program)).run(STEPS);
    }
  },
);
