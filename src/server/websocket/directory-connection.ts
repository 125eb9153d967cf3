import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Core } from '../../core/core.ts';
import type { Permit } from '../../core/permit.ts';
import type { DirectoryChange, DirectoryListener } from '../../core/watch/directory-watches.ts';
import { closeWebSocket } from '../../wire/close-websocket.ts';
import { PayloadTap, type TapHandler } from '../../wire/payload-tap.ts';
import { CloseCode, type ControlMessage, type EndReason } from '../../wire/protocol.ts';
import { type ActiveConnection, type ActiveConnections, DRAIN_TIMEOUT_MS } from '../active-connections.ts';
import { ClientSocket, CUT_DELAY_MS, type SocketOwner } from '../node/connections/client-socket.ts';
import { listRow } from '../response/list-row.ts';
import type { Admission, Withdrawal } from '../rights/admission.ts';
import { v2Dialect } from './dialects.ts';
import { Liveness } from './liveness.ts';

/** Longest message that a client, which has nothing to say, may send. */
const MAX_MESSAGE_BYTES = 1024;

/** With so much unread a client is told nothing more but to read the list anew, when it has read that. */
const MAX_UNREAD_BYTES = 64 * 1024;

/** When a client reads the list anew because of what it may not be told by name, in milliseconds. */
const LIST_MS = 5000;

/** One connection of who follows what is in a directory, from before its upgrade to its end. */
export class DirectoryConnection implements ActiveConnection, SocketOwner, TapHandler, DirectoryListener {
  readonly #follows: ActiveConnections;
  readonly #admission: Admission;
  readonly #permit: Permit<'list'>;
  readonly #socket: Socket;
  readonly #client: ClientSocket;
  readonly #liveness: Liveness;
  #websocket: WebSocket | undefined;
  #leave = () => {};
  /** What was told last: an application may take its time to say what may be told. */
  #telling: Promise<void> = Promise.resolve();
  /** Whether something was left out that its client has to read by itself. */
  #isStale = false;
  #listTimer: NodeJS.Timeout | undefined;
  #isStopped = false;
  /** How it has ended before it was there. */
  #early: EndReason | undefined;

  constructor(follows: ActiveConnections, admission: Admission, permit: Permit<'list'>, socket: Socket) {
    this.#follows = follows;
    this.#admission = admission;
    this.#permit = permit;
    this.#socket = socket;
    this.#client = ClientSocket.of(socket);
    this.#liveness = new Liveness(socket, follows.keepAliveMs);
    follows.add(this);
    this.#client.owner = this;
    admission.onWithdrawn((withdrawal) => this.#withdraw(withdrawal));
  }

  /** Watches from now on. @throws what {@link DirectoryWatches.watch} throws */
  async open({ directoryWatches }: Core): Promise<void> {
    const leave = await directoryWatches.watch(this.#permit, this);
    this.#leave = leave;
    if (this.#isStopped || this.#socket.destroyed) leave();
  }

  /** Its client is to read the list, and is told what changes after that. */
  start(websocket: WebSocket): void {
    this.#websocket = websocket;
    new PayloadTap(websocket, this.#socket, this);
    this.#send({ type: 'list' });
    if (this.#early !== undefined) this.#end(this.#early);
  }

  changed(changes: readonly DirectoryChange[]): void {
    this.#telling = this.#telling.then(() => this.#tell(changes)).catch(() => this.changedAll());
  }

  changedAll(): void {
    if (this.#isFull) this.#isStale = true;
    else this.#send({ type: 'list' });
  }

  gone(): void {
    this.#end('deleted');
  }

  get masked(): boolean {
    return true;
  }

  get maxMessageBytes(): number {
    return MAX_MESSAGE_BYTES;
  }

  /** It has nothing to say. */
  onPayload(): void {}

  onDrain(): void {
    if (!this.#isStale) return;
    this.#isStale = false;
    this.changedAll();
  }

  onFramingError(): void {
    this.#stop();
    this.#client.cutAfter(CUT_DELAY_MS);
  }

  /** Nothing may be sent behind the answer (RFC 6455, section 5.5.1). */
  beforeClose(): void {
    this.#stop();
  }

  keepAlive(intervalMs: number): void {
    if (this.#isOpen && this.#liveness.tick(intervalMs)) this.terminate();
  }

  shutDown(): void {
    this.#end('shutdown');
  }

  terminate(): void {
    this.#socket.destroy();
  }

  closed(): void {
    this.#stop();
    this.#follows.delete(this);
  }

  async #tell(changes: readonly DirectoryChange[]): Promise<void> {
    for (const { name, entry } of changes) {
      if (this.#isStopped || this.#isStale) return;
      const path = this.#permit.path.child(name);
      if (entry === undefined) {
        // Of which kind it was nobody knows any more: it may be that its client was not to know of it.
        const [asFile, asDirectory] = [
          await this.#admission.shows('file', path),
          await this.#admission.shows('directory', path),
        ];
        if (asFile && asDirectory) this.#sendUnlessFull({ type: 'gone', name });
        else if (asFile || asDirectory)
          this.#listTimer ??= setTimeout(() => this.#listAgain(), LIST_MS).unref();
      } else if (await this.#admission.shows(entry.stat.kind, path)) {
        const { stat, size, standing } = entry;
        const modifiedMs = Number(stat.mtimeNs / 1_000_000n);
        const isDirectory = stat.kind === 'directory';
        const row = listRow({ name, isDirectory, size, modifiedMs, standing, isRelayed: false });
        this.#sendUnlessFull({ type: 'entry', row });
      }
    }
  }

  #listAgain(): void {
    this.#listTimer = undefined;
    this.changedAll();
  }

  get #isFull(): boolean {
    return this.#socket.writableLength > MAX_UNREAD_BYTES;
  }

  #sendUnlessFull(message: ControlMessage): void {
    if (this.#isFull) this.#isStale = true;
    else this.#send(message);
  }

  #send(message: ControlMessage): void {
    if (this.#isOpen) this.#socket.write(v2Dialect.control(message));
  }

  get #isOpen(): boolean {
    return this.#websocket !== undefined && this.#websocket.readyState === this.#websocket.OPEN;
  }

  #end(reason: EndReason): void {
    if (this.#websocket === undefined) {
      this.#early = reason;
      return;
    }
    this.#send({ type: 'end', position: 0, reason });
    closeWebSocket(this.#websocket, v2Dialect.closeCode(reason));
    this.#stop();
    this.#client.cutAfter(DRAIN_TIMEOUT_MS);
  }

  /** Closes a connection whose client may not go on. */
  #withdraw({ isExpired, error }: Withdrawal): void {
    if (this.#websocket === undefined) {
      this.terminate();
      return;
    }
    closeWebSocket(this.#websocket, isExpired ? CloseCode.unauthorized : CloseCode.forbidden, error.message);
    this.#stop();
    this.#client.cutAfter(CUT_DELAY_MS);
  }

  #stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#listTimer);
    this.#leave();
  }
}
