import type { Socket } from 'node:net';
import { HEARTBEAT_MS } from '../../wire/protocol.ts';

/** How long a server may be silent, for all the pings, before its connection counts as broken. */
const SILENCE_MS = 25_000;

/** Time for the first message of a server. */
const GREETING_MS = 30_000;

/** Finds out that nothing comes any more from a server that speaks the subprotocol. */
export class Silence {
  readonly #socket: Socket;
  #bytesRead = 0;
  #silentMs = 0;
  #isGreeted = false;
  #ungreetedMs = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Tells that the first message has come. */
  greeted(): void {
    this.#isGreeted = true;
  }

  /**
   * To be called every {@link HEARTBEAT_MS}. Returns what is wrong, if anything.
   *
   * @param isPaused whether what comes is left unread
   */
  tick(isPaused: boolean): string | undefined {
    const { bytesRead } = this.#socket;
    const isSilent = bytesRead === this.#bytesRead && !isPaused;
    this.#bytesRead = bytesRead;
    this.#silentMs = isSilent ? this.#silentMs + HEARTBEAT_MS : 0;
    this.#ungreetedMs += HEARTBEAT_MS;
    if (!this.#isGreeted && this.#ungreetedMs >= GREETING_MS) return 'the server does not begin';
    return this.#silentMs >= SILENCE_MS ? 'the server has fallen silent' : undefined;
  }
}
