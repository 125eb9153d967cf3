import net from 'node:net';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { reset } from '../support/chaos/connection.ts';
import type { Conversation, Step } from './conversation.ts';
import type { Memory } from './memory.ts';

/** How long one step waits for the other side. What takes longer is no fault yet. */
const STEP_MS = 60;

/** Longest time to listen to what keeps coming. */
const LISTEN_MS = 200;

/** So much of what came before is looked at with what comes: what is sought may come in pieces. */
const OVERLAP_BYTES = 200;

/** Sees all that goes and comes. */
export interface Listener {
  /** @param bytes what is about to be sent */
  sends(bytes: Buffer): void;
  /** @param text what came, as latin1, after the last bytes of what came before */
  received(conversation: Conversation, text: string): void;
}

/** A conversation that is being had. */
export class Connection {
  readonly conversation: Conversation;
  /** Resolves when the connection is gone, whoever closed it. */
  readonly closed: Promise<void>;
  /** When the client had nothing more to say, as `performance.now()` tells it; undefined before. */
  finishedAt: number | undefined;
  readonly #socket: net.Socket;
  readonly #memory: Memory;
  readonly #listener: Listener;
  #receivedBytes = 0;
  #tail = '';
  #wake: () => void = () => undefined;

  constructor(conversation: Conversation, port: number, memory: Memory, listener: Listener) {
    this.conversation = conversation;
    this.#memory = memory;
    this.#listener = listener;
    this.#socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
    this.#socket.on('error', () => undefined);
    this.#socket.on('data', (chunk: Buffer) => this.#received(chunk));
    for (const event of ['connect', 'drain', 'end', 'close']) this.#socket.on(event, () => this.#wake());
    this.closed = new Promise((resolve) => this.#socket.once('close', () => resolve()));
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  /** Whether the server has said that it has no more to say. What it has of the connection then only it can see. */
  get isEnded(): boolean {
    return this.#socket.readableEnded;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Does all that the conversation says, and resolves when the client has left, or waits to be left. */
  async play(): Promise<void> {
    const socket = this.#socket;
    if (socket.connecting) await this.#something();
    for (const step of this.conversation.steps) {
      if (socket.destroyed) return;
      await this.#take(step);
    }
    this.finishedAt = performance.now();
    switch (this.conversation.farewell) {
      case 'halfClose':
        socket.resume();
        socket.end();
        return;
      case 'awaitClose':
      case 'stay':
        socket.resume();
        return;
      case 'reset':
        reset(socket);
        return;
      case 'destroy':
        socket.destroy();
        return;
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #take(step: Step): Promise<void> {
    switch (step.do) {
      case 'send':
        return this.#send(this.#memory.fillIn(step.bytes), step.cuts);
      case 'listen':
        return this.#listen();
      case 'wait':
        await delay(step.milliseconds);
        return;
      case 'pause':
        this.#socket.pause();
        return;
      case 'resume':
        this.#socket.resume();
        return;
    }
  }

  /** Waits until something has come and no more does, but not long. */
  async #listen(): Promise<void> {
    if (this.#socket.isPaused()) return;
    const deadline = performance.now() + LISTEN_MS;
    for (let before = -1; before !== this.#receivedBytes && performance.now() < deadline; ) {
      before = this.#receivedBytes;
      if (this.#socket.destroyed || this.#socket.readableEnded) return;
      await this.#something();
    }
  }

  async #send(bytes: Buffer, cuts: readonly number[]): Promise<void> {
    this.#listener.sends(bytes);
    let start = 0;
    for (const cut of [...cuts, 1]) {
      const end = Math.floor(bytes.length * cut);
      if (end === start && cut < 1) continue;
      if (!this.#socket.writable) return;
      if (!this.#socket.write(bytes.subarray(start, end))) await this.#something();
      else if (cut < 1) await nextTurn();
      start = end;
    }
  }

  /** Waits for something to happen to the connection, but not long. */
  async #something(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, STEP_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
  }

  #received(chunk: Buffer): void {
    this.#receivedBytes += chunk.length;
    const text = this.#tail + chunk.toString('latin1');
    this.#tail = text.slice(-OVERLAP_BYTES);
    this.#memory.learn(text);
    this.#listener.received(this.conversation, text);
    this.#wake();
  }
}
