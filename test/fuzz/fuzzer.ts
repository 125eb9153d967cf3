import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE_MS } from '../support/patience.ts';
import { Connection, type Listener } from './connection.ts';
import { type Conversation, describe } from './conversation.ts';
import { FuzzedServer } from './fuzzed-server.ts';
import { Ground } from './ground.ts';
import { Memory } from './memory.ts';
import { Names } from './names.ts';

/** Connections that wait to be closed by the server: no more are begun meanwhile. */
const MAX_LEAVING = 300;

/** Connections that stay without a word. */
const MAX_STAYING = 100;

/** How far back what made a server fail may lie. */
const RECENT_MS = 2000;

/** After so many findings of a kind there is nothing new to learn. */
const MAX_FINDINGS_OF_KIND = 3;

/** What must not happen, and whose doing it may be. */
export interface Finding {
  kind: 'crash' | 'error in the log' | 'secret' | 'status 500' | 'silent one is kept' | 'hang';
  detail: string;
  /** The conversations that were had then, the newest last; one when it is known which. */
  suspects: readonly Conversation[];
}

/** Talks to a server of its own as no decent client would, and sees whether it stands that. */
export class Fuzzer implements Listener {
  readonly ground: Ground;
  readonly server: FuzzedServer;
  readonly findings: Finding[] = [];
  readonly names = new Names();
  /** How often answers had which status. */
  readonly statuses = new Map<string, number>();
  readonly #connections: number;
  readonly #memory: Memory;
  /** Those that the server is to close. */
  readonly #leaving = new Set<Connection>();
  /** Those that are the client's to close. */
  readonly #staying = new Set<Connection>();
  /** Those that the server has ended, and whose client does not answer that. */
  readonly #ended = new Set<Connection>();
  readonly #recent: { at: number; conversation: Conversation }[] = [];
  readonly #startedAt = performance.now();
  #conversationCount = 0;
  #isOver = false;

  private constructor(ground: Ground, server: FuzzedServer, connections: number) {
    this.ground = ground;
    this.server = server;
    this.#connections = connections;
    this.#memory = new Memory(server.process.port);
    server.process.child.once('exit', (code, signal) => {
      if (!this.#isOver) this.#find('crash', `the server ended by itself with ${signal ?? code}`);
    });
  }

  /** @param connections how many conversations are had at a time, beside those that only wait */
  static async start(connections: number): Promise<Fuzzer> {
    const ground = await Ground.make();
    const server = await FuzzedServer.start(ground.root, (line) => fuzzer.#find('error in the log', line));
    const fuzzer = new Fuzzer(ground, server, connections);
    return fuzzer;
  }

  get conversationCount(): number {
    return this.#conversationCount;
  }

  /** Whether there are connections that are not over. */
  get isBusy(): boolean {
    return this.#leaving.size + this.#staying.size > 0;
  }

  /** Has conversations, several at a time, until there are no more, or time is over, or the server is. */
  async play(conversations: Iterable<Conversation>, milliseconds = Number.POSITIVE_INFINITY): Promise<void> {
    const deadline = performance.now() + milliseconds;
    const isOver = () => performance.now() > deadline || this.server.hasEnded;
    const iterator = conversations[Symbol.iterator]();
    const workers = Array.from({ length: this.#connections }, async () => {
      for (let next = iterator.next(); !next.done && !isOver(); next = iterator.next()) {
        await this.#have(next.value);
        while (this.#leaving.size > MAX_LEAVING && !isOver()) await this.#seeWhoIsLeft();
      }
    });
    await Promise.all(workers);
  }

  /**
   * Waits until the server has closed what it is to close, tells what it has not, and closes the rest: but
   * for those that the server has ended, of which it must keep nothing, whatever their clients do.
   */
  async settle(): Promise<void> {
    while (this.#leaving.size > 0 && !this.server.hasEnded) await this.#seeWhoIsLeft();
    for (const connection of [...this.#staying, ...this.#leaving]) connection.destroy();
  }

  /** The server may end from now on, and the last connections do. */
  finish(): void {
    this.#isOver = true;
    for (const connection of this.#ended) connection.destroy();
  }

  sends(bytes: Buffer): void {
    this.names.add(bytes);
  }

  received(conversation: Conversation, text: string): void {
    for (const [, status] of text.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
      this.statuses.set(status as string, (this.statuses.get(status as string) ?? 0) + 1);
    }
    for (const needle of this.ground.needles) {
      const at = text.indexOf(needle);
      if (at >= 0) this.#find('secret', text.slice(0, at + 100), [conversation]);
    }
    if (text.includes('HTTP/1.1 500 ')) this.#find('status 500', text.slice(0, 1000), [conversation]);
  }

  async #have(conversation: Conversation): Promise<void> {
    this.#conversationCount++;
    this.#remember(conversation);
    const connection = new Connection(conversation, this.server.process.port, this.#memory, this);
    await connection.play();
    if (connection.isClosed) return;
    const { farewell } = conversation;
    const group = farewell === 'halfClose' || farewell === 'awaitClose' ? this.#leaving : this.#staying;
    group.add(connection);
    void connection.closed.then(() => group.delete(connection));
    if (this.#staying.size <= MAX_STAYING) return;
    const [oldest] = this.#staying;
    oldest?.destroy();
  }

  /** Waits a moment for those that are to be closed, and gives up those that are not. */
  async #seeWhoIsLeft(): Promise<void> {
    await delay(20);
    for (const connection of this.#leaving) {
      const { finishedAt = 0, conversation, receivedBytes } = connection;
      if (connection.isEnded && conversation.farewell === 'awaitClose') {
        this.#leaving.delete(connection);
        this.#ended.add(connection);
        continue;
      }
      if (performance.now() - finishedAt < PATIENCE_MS) continue;
      const kind = conversation.farewell === 'awaitClose' ? 'silent one is kept' : 'hang';
      this.#find(kind, `${receivedBytes} bytes came, and no end`, [conversation]);
      this.#leaving.delete(connection);
      connection.destroy();
    }
  }

  #find(kind: Finding['kind'], detail: string, suspects?: readonly Conversation[]): void {
    if (this.findings.filter((finding) => finding.kind === kind).length >= MAX_FINDINGS_OF_KIND) return;
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    this.findings.push({
      kind,
      detail: `after ${this.#conversationCount} conversations, ${seconds} s: ${detail}`,
      suspects: suspects ?? this.#recent.map(({ conversation }) => conversation),
    });
  }

  #remember(conversation: Conversation): void {
    const now = performance.now();
    this.#recent.push({ at: now, conversation });
    while ((this.#recent[0]?.at ?? now) < now - RECENT_MS) this.#recent.shift();
  }
}

/** Tells of a finding, for people. */
export function tell({ kind, detail, suspects }: Finding): string {
  const told = suspects.slice(-5).map((conversation) => `  ${describe(conversation)}`);
  const more =
    suspects.length > told.length ? [`  and ${suspects.length - told.length} conversations before`] : [];
  return [`${kind}: ${detail}`, ...more, ...told].join('\n');
}
