import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ClientSocket } from './client-socket.ts';
import { Turns } from './turns.ts';

/** Requests of one connection that are under way at a time, or begin in one turn of the event loop. */
const MAX_REQUESTS = 16;

/** One for each connection. */
const ofSocket = new WeakMap<Socket, RequestPace>();

/**
 * Lets the requests that a client has sent ahead begin a few at a time. Node
 * would have two thousand of one read answered before anybody else is served,
 * and those that wait for their turn would be as many.
 */
export class RequestPace {
  readonly #socket: Socket;
  readonly #turns: Turns;
  readonly #waiting: { response: ServerResponse; begin: () => void }[] = [];
  #begunCount = 0;
  #isQueued = false;
  /** Lets the connection be read again. */
  #release: () => void = () => undefined;

  private constructor(socket: Socket, server: object) {
    this.#socket = socket;
    this.#turns = Turns.of(server);
    // What has no connection any more is never over.
    socket.once('close', () => void this.#goOn());
  }

  /** That of a connection of `server`, from the first call on. */
  static of(socket: Socket, server: object): RequestPace {
    let pace = ofSocket.get(socket);
    if (pace === undefined) {
      pace = new RequestPace(socket, server);
      ofSocket.set(socket, pace);
    }
    return pace;
  }

  /** Calls `begin`, now or in a later turn of the event loop, when those before have begun. */
  admit(response: ServerResponse, begin: () => void): void {
    if (this.#waiting.length === 0 && this.#room > 0) {
      this.#begin(response, begin);
      return;
    }
    this.#waiting.push({ response, begin });
    if (this.#waiting.length > 1) return;
    this.#release = ClientSocket.of(this.#socket).hold();
    void this.#goOn();
  }

  get #room(): number {
    return this.#socket.destroyed ? MAX_REQUESTS : MAX_REQUESTS - this.#begunCount;
  }

  #begin(response: ServerResponse, begin: () => void): void {
    this.#begunCount++;
    response.once('close', () =>
      // So that it still counts in the turn in which it has begun.
      setImmediate(() => {
        this.#begunCount--;
        void this.#goOn();
      }),
    );
    begin();
  }

  async #goOn(): Promise<void> {
    while (this.#waiting.length > 0 && this.#room > 0 && !this.#isQueued) {
      this.#isQueued = true;
      await this.#turns.next();
      this.#isQueued = false;
      for (const { response, begin } of this.#waiting.splice(0, this.#room)) this.#begin(response, begin);
      if (this.#waiting.length === 0) this.#release();
    }
  }
}
