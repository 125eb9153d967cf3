import { readFile } from 'node:fs/promises';
import type { Agent } from 'node:http';
import path from 'node:path';
import { expect } from 'vitest';
import { pattern } from '../pattern.ts';
import { StreamPeer } from '../streams/stream-peer.ts';
import { waitFor } from '../wait-for.ts';
import { V2Peer } from '../websocket/v2-peer.ts';
import type { UrlSource } from './server.ts';

/** One who appends a pattern, with a follower, until that ends. */
export class Appending {
  readonly name: string;
  readonly #appender: V2Peer;
  readonly #follower: V2Peer;
  #sent = 0;

  private constructor(name: string, appender: V2Peer, follower: V2Peer) {
    this.name = name;
    this.#appender = appender;
    this.#follower = follower;
  }

  static async start(server: UrlSource, name: string): Promise<Appending> {
    const appender = await V2Peer.append(server.url(`/${name}`));
    return new Appending(name, appender, await V2Peer.follow(server.url(`/${name}`)));
  }

  get followerEnding() {
    return this.#follower.ending;
  }

  get isOver(): boolean {
    return this.#appender.closeCode !== undefined;
  }

  get ending() {
    return this.#appender.ending;
  }

  get detail(): string | undefined {
    return this.#appender.end?.detail;
  }

  /** Appends so much, and waits until it is acknowledged, or refused. */
  async append(bytes: number): Promise<void> {
    await this.#appender.send(pattern(this.#sent, bytes)).catch(() => undefined);
    this.#sent += bytes;
    await waitFor(() => this.isOver || this.#appender.acked >= this.#sent, 'the acknowledgement');
  }

  finish(): Promise<void> {
    return this.#appender.finish();
  }

  async appendUntilOver(bytes: number): Promise<void> {
    while (!this.isOver) await this.append(bytes);
  }

  /** Nothing that was acknowledged is lost, and the follower has all that is there. */
  async expectWhole(root: string): Promise<void> {
    await this.#follower.closed();
    const stored = await readFile(path.join(root, this.name));
    expect(stored.equals(pattern(0, stored.length))).toBe(true);
    expect(stored.length).toBeGreaterThanOrEqual(this.#appender.acked);
    expect(this.#follower.bytes.equals(stored)).toBe(true);
  }
}

/** One who posts numbered lines. */
export class Producing {
  readonly #stream: StreamPeer;
  readonly #padding: string;
  acknowledged = 0;

  /** @param bytes of each line, about */
  constructor(server: UrlSource, name: string, bytes: number, agent?: Agent) {
    this.#stream = new StreamPeer(server, `/${name}`, 'text/plain', agent);
    this.#padding = '.'.repeat(bytes);
  }

  async create(): Promise<void> {
    expect((await this.#stream.create()).status).toBe(201);
  }

  /** @returns what the server said; undefined when it has taken it */
  async produce(): Promise<{ status: number; code: unknown } | undefined> {
    const line = `${this.acknowledged} ${this.#padding}\n`;
    const { status, code } = await this.#stream.produce(line, { seq: this.acknowledged });
    if (status !== 200) return { status, code };
    this.acknowledged++;
    return undefined;
  }

  async produceUntilRefused() {
    for (;;) {
      const refusal = await this.produce();
      if (refusal !== undefined) return refusal;
    }
  }

  async expectWhole(): Promise<void> {
    const lines = (await this.#stream.read()).text.split('\n');
    expect(lines.pop()).toBe('');
    expect(lines).toEqual(Array.from({ length: this.acknowledged }, (_, i) => `${i} ${this.#padding}`));
  }
}
