import { HEARTBEAT_MS } from '../../wire/protocol.ts';

/** A server that sends nothing for this long, despite the pings, is taken for dead. */
const SILENCE_MS = 25_000;

/** Time limit for the first message of a server. */
const FIRST_MESSAGE_MS = 30_000;

/** What counts the bytes that have come. */
export interface Received {
  readonly bytesRead: number;
}

/** Notices that a server that speaks the subprotocol no longer sends anything. */
export class Watchdog {
  readonly #socket: Received;
  #bytesRead = 0;
  #silentMs = 0;
  #hasBegun = false;
  #elapsedMs = 0;

  constructor(socket: Received) {
    this.#socket = socket;
  }

  /** To be called when a message has arrived. */
  messageArrived(): void {
    this.#hasBegun = true;
  }

  /**
   * To be called every {@link HEARTBEAT_MS}. Returns what is wrong, if anything.
   *
   * @param isPaused whether the socket is not being read, so that silence means nothing
   */
  tick(isPaused: boolean): string | undefined {
    const { bytesRead } = this.#socket;
    const isSilent = bytesRead === this.#bytesRead && !isPaused;
    this.#bytesRead = bytesRead;
    this.#silentMs = isSilent ? this.#silentMs + HEARTBEAT_MS : 0;
    this.#elapsedMs += HEARTBEAT_MS;
    if (!this.#hasBegun && this.#elapsedMs >= FIRST_MESSAGE_MS) return 'the server does not begin';
    return this.#silentMs >= SILENCE_MS ? 'the server has fallen silent' : undefined;
  }
}
