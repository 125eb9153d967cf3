import net, { type Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random.ts';

/** What can go wrong on one connection. */
export const FAULTS = [
  /** FIN to both. */
  'cut',
  /** RST to one side, FIN to the other. */
  'resetClient',
  'resetServer',
  'resetBoth',
  /** FIN in this direction only; the other one goes on for a while. */
  'halfClose',
  /** Nothing in this direction for a while; then it goes on, late. */
  'stall',
  'stallThenCut',
  /** The client is cut off; the server hears nothing of it for a while. */
  'forgetClient',
  /** … and when it does, it is in the form of what was under way. */
  'forgetClientThenDeliver',
  /** The server is cut off; the client hears nothing of it for a while. */
  'forgetServer',
  /** Bytes arrive one or a few at a time. */
  'split',
  /** A second connection with the same handshake; `late`: maybe when the first is long gone. */
  'duplicate',
  'duplicateLate',
] as const;

export type Fault = (typeof FAULTS)[number];

export type FaultWeights = Readonly<Partial<Record<Fault, number>>>;

/** How bad a network is. */
export interface ChaosSettings {
  /** How often each fault happens, compared with the others. */
  weights: FaultWeights;
  /** Fewest and most bytes between two faults in one direction; each order of magnitude is as frequent. */
  betweenFaults: readonly [min: number, max: number];
  /** Longest stall, also of a duplicate that is late. */
  maxStallMs: number;
  /** Longest time for which one side of a connection is left when the other is gone. */
  maxLingerMs: number;
}

/** What all connections of one proxy share. */
export interface ChaosContext {
  readonly settings: ChaosSettings;
  /** Where new connections go now. */
  readonly targetPort: () => number;
  /** Whether faults happen at all. */
  readonly isCalm: () => boolean;
  /** Bytes of each direction that pass before the first fault, by the request's head. */
  readonly sparedBytes: (head: string) => number;
  readonly count: (event: Fault | 'splitByte') => void;
  /** Settles a `sleep` early when the proxy closes. */
  readonly signal: AbortSignal;
  /** Keeps a socket to be destroyed with the proxy. */
  readonly keep: (socket: Socket) => void;
}

/** A handshake ends within so many bytes. */
const MAX_HEAD_BYTES = 16_384;

/** How long a side may take to close after a FIN. */
const FAREWELL_MS = 500;

type DirectionName = 'up' | 'down';

/** One client's connection through the proxy. */
export class ChaosConnection {
  readonly client: Socket;
  readonly server: Socket;
  readonly #random: Random;
  readonly #context: ChaosContext;
  readonly #up: Direction;
  readonly #down: Direction;
  #head = Buffer.alloc(0);
  #headText: string | undefined;
  /** Nothing is forwarded any more. */
  #isBroken = false;
  #stalled: Promise<void> | undefined;
  #resume: () => void = () => undefined;
  /** What it sends is not taken. */
  #unread: Socket | undefined;

  constructor(client: Socket, random: Random, context: ChaosContext) {
    this.#random = random;
    this.#context = context;
    this.client = client;
    this.server = connectTo(context.targetPort(), context.keep);
    context.keep(client);
    this.#up = new Direction('up', client, this.server, this);
    this.#down = new Direction('down', this.server, client, this);
    for (const direction of [this.#up, this.#down])
      direction.start(random.fork(direction.name === 'up' ? 1 : 2));
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  get context(): ChaosContext {
    return this.#context;
  }

  /** Pending while the connection is stalled by hand. */
  get stalled(): Promise<void> | undefined {
    return this.#stalled;
  }

  /** Takes the next bytes from one side, unless they are to be left there. */
  read(from: Socket): void {
    if (from !== this.#unread) from.resume();
  }

  stall(): void {
    this.#stalled ??= new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  resume(): void {
    this.#stalled = undefined;
    this.#resume();
  }

  /** FIN to both, after what was forwarded. */
  cut(): void {
    this.#isBroken = true;
    this.resume();
    for (const socket of [this.client, this.server]) endSoon(socket);
  }

  /** Neither bytes nor FINs pass any more; what comes is thrown away, or left where it is. */
  break(): void {
    this.#isBroken = true;
    this.resume();
  }

  /** Keeps the handshake; the first fault is not before it is known. */
  seeHead(chunk: Buffer): void {
    if (this.#headText !== undefined) return;
    this.#head = Buffer.concat([this.#head, chunk]);
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0 && this.#head.length < MAX_HEAD_BYTES) return;
    this.#head = this.#head.subarray(0, end < 0 ? 0 : end + 4);
    this.#headText = this.#head.toString('latin1');
    const spared = this.#context.sparedBytes(this.#headText);
    this.#up.spare(spared === 0 ? 0 : spared + this.#head.length);
    this.#down.spare(spared);
  }

  /** @param rest what came in this direction and was not forwarded */
  async fault(fault: Fault, direction: DirectionName, rest: Buffer): Promise<void> {
    const { client, server } = this;
    const random = this.#random;
    this.#context.count(fault);
    switch (fault) {
      case 'cut':
        return this.cut();
      case 'resetClient':
      case 'resetServer':
      case 'resetBoth': {
        this.break();
        if (fault === 'resetServer') endSoon(client);
        else reset(client);
        if (fault === 'resetClient') endSoon(server);
        else reset(server);
        return;
      }
      case 'halfClose': {
        // A server answers half a request with 400, which is final for a first connection.
        if (this.#up.forwardedBytes < this.#head.length) return this.cut();
        (direction === 'up' ? this.#up : this.#down).halfClose();
        await this.#linger();
        return this.cut();
      }
      case 'stall':
        return this.#sleep(random.logInteger(1, this.#context.settings.maxStallMs));
      case 'stallThenCut':
        await this.#sleep(random.logInteger(1, this.#context.settings.maxStallMs));
        return this.cut();
      case 'forgetClient':
      case 'forgetClientThenDeliver':
        return this.#forget(
          client,
          server,
          fault === 'forgetClientThenDeliver' && direction === 'up' ? rest : undefined,
        );
      case 'forgetServer':
        return this.#forget(server, client, undefined);
      case 'split':
        return (direction === 'up' ? this.#up : this.#down).split(random.logInteger(1, 200));
      case 'duplicate':
      case 'duplicateLate':
        void this.#duplicate(fault === 'duplicateLate');
        return;
    }
  }

  async #forget(gone: Socket, left: Socket, lateBytes: Buffer | undefined): Promise<void> {
    this.break();
    if (this.#random.chance(0.5)) reset(gone);
    else gone.destroy();
    // Half of them do not even take what comes, so that it piles up at the one who sends.
    if (this.#random.chance(0.5)) {
      this.#unread = left;
      left.pause();
    }
    await this.#linger();
    this.#unread = undefined;
    if (lateBytes !== undefined && left.writable) left.write(lateBytes);
    left.resume();
    if (lateBytes === undefined && this.#random.chance(0.3)) reset(left);
    else endSoon(left);
  }

  /** Says the handshake once more to the server, and leaves it or goes. */
  async #duplicate(late: boolean): Promise<void> {
    const random = this.#random;
    if (this.#headText === undefined || this.#head.length === 0) return;
    if (late) await this.#sleep(random.logInteger(1, this.#context.settings.maxStallMs));
    if (this.#context.signal.aborted) return;
    const socket = connectTo(this.#context.targetPort(), this.#context.keep);
    socket.on('data', () => undefined);
    socket.write(this.#head);
    const mode = random.pick(['cutAtOnce', 'left', 'leftUnread'] as const);
    if (mode === 'leftUnread') socket.pause();
    await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
    if (mode !== 'cutAtOnce') await this.#linger();
    socket.resume();
    if (random.chance(0.5)) reset(socket);
    else endSoon(socket);
  }

  #linger(): Promise<void> {
    return this.#sleep(this.#random.logInteger(1, this.#context.settings.maxLingerMs));
  }

  async #sleep(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.#context.signal, ref: false }).catch(() => undefined);
  }
}

/** The bytes from one side to the other. */
class Direction {
  readonly name: DirectionName;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #connection: ChaosConnection;
  #random: Random | undefined;
  #bytesToFault = Number.POSITIVE_INFINITY;
  #bytesToSplit = 0;
  #forwardedBytes = 0;
  #isHalfClosed = false;

  constructor(name: DirectionName, from: Socket, to: Socket, connection: ChaosConnection) {
    this.name = name;
    this.#from = from;
    this.#to = to;
    this.#connection = connection;
  }

  get forwardedBytes(): number {
    return this.#forwardedBytes;
  }

  start(random: Random): void {
    this.#random = random;
    const from = this.#from;
    this.#bytesToFault = this.#drawBytes();
    from.on('data', (chunk: Buffer) => {
      from.pause();
      void this.#forward(chunk).then(() => this.#connection.read(from));
    });
    from.once('end', () => void this.#ended(false));
    from.once('close', (hadError) => void this.#ended(hadError));
  }

  /** Puts the first fault off. */
  spare(bytes: number): void {
    if (bytes > 0) this.#bytesToFault = bytes + this.#drawBytes();
  }

  /** The next bytes go in pieces. */
  split(bytes: number): void {
    this.#bytesToSplit = bytes;
  }

  halfClose(): void {
    this.#isHalfClosed = true;
    this.#to.end();
  }

  /** Whatever way this side went, the other one goes likewise. */
  async #ended(hadError: boolean): Promise<void> {
    await this.#connection.stalled;
    if (this.#connection.isBroken || this.#to.destroyed) return;
    if (hadError) reset(this.#to);
    else this.#to.end();
  }

  #drawBytes(): number {
    const [min, max] = this.#connection.context.settings.betweenFaults;
    return (this.#random as Random).logInteger(min, max);
  }

  async #forward(chunk: Buffer): Promise<void> {
    if (this.name === 'up') this.#connection.seeHead(chunk);
    let rest = chunk;
    while (rest.length > 0) {
      await this.#connection.stalled;
      if (this.#connection.isBroken || this.#isHalfClosed || !this.#to.writable) return;
      if (this.#bytesToFault === 0) {
        this.#bytesToFault = this.#drawBytes();
        const { settings, isCalm } = this.#connection.context;
        if (isCalm()) continue;
        const fault = (this.#random as Random).pickWeighted<Fault>(settings.weights);
        // One direction that stands still does not hold the other one back.
        await this.#connection.fault(fault, this.name, rest);
        continue;
      }
      const size = Math.min(rest.length, this.#bytesToFault, this.#pieceBytes());
      await write(this.#to, rest.subarray(0, size));
      rest = rest.subarray(size);
      this.#forwardedBytes += size;
      this.#bytesToFault -= size;
      if (this.#bytesToSplit > 0) {
        this.#bytesToSplit = Math.max(0, this.#bytesToSplit - size);
        this.#connection.context.count('splitByte');
        await nextTurn();
      }
    }
  }

  #pieceBytes(): number {
    return this.#bytesToSplit > 0 ? (this.#random as Random).integer(1, 7) : Number.POSITIVE_INFINITY;
  }
}

function connectTo(port: number, keep: (socket: Socket) => void): Socket {
  const socket = net.connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
  socket.on('error', () => undefined);
  keep(socket);
  return socket;
}

/** Resolves when the socket takes more, or is gone. */
function write(socket: Socket, bytes: Buffer): Promise<void> | undefined {
  if (socket.write(bytes)) return undefined;
  return new Promise((resolve) => {
    const settle = () => {
      socket.off('drain', settle).off('close', settle);
      resolve();
    };
    socket.on('drain', settle).on('close', settle);
    if (socket.destroyed) settle();
  });
}

/**
 * RST, and nothing before it. Node's own `resetAndDestroy` waits for what was
 * written and says FIN first, which is an end for a peer that is quick.
 */
export function reset(socket: Socket): void {
  // One that is on its way to a FIN cannot be reset, and would never close.
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (!socket.connecting && !isEnding) Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}

/** FIN after what was written; destroyed if the other end does not close likewise. */
function endSoon(socket: Socket): void {
  if (socket.destroyed) return;
  socket.end();
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS).unref();
  socket.once('end', () => socket.destroy());
  socket.once('close', () => clearTimeout(timer));
}
