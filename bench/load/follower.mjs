import { openWebSocket } from './connect.mjs';
import { PayloadCounter } from './frames.mjs';

/** Handshakes that are under way at a time. */
const PARALLEL_CONNECTS = 64;

/** One that follows and counts. */
export class Follower {
  #socket;
  #counter = new PayloadCounter();
  /** Called after each read. */
  onProgress = () => {};

  /** Payload bytes so far. */
  get payloadBytes() {
    return this.#counter.payloadBytes;
  }

  async open(target, name) {
    this.#socket = await openWebSocket(
      target.port,
      target.followTarget.replace('{name}', name),
      (chunk, length) => {
        this.#counter.push(chunk, length);
        this.onProgress(this);
      },
    );
  }

  /** Reads nothing any more, without a word to the server. */
  stall() {
    this.#socket.pause();
  }

  close() {
    this.#socket?.destroy();
  }
}

/** Opens many, several at a time. */
export async function openFollowers(target, name, count) {
  const followers = Array.from({ length: count }, () => new Follower());
  let next = 0;
  const openOneByOne = async () => {
    while (next < count) await followers[next++].open(target, name);
  };
  try {
    await Promise.all(Array.from({ length: PARALLEL_CONNECTS }, openOneByOne));
  } catch (error) {
    closeAll(followers);
    throw error;
  }
  return followers;
}

export function closeAll(followers) {
  for (const follower of followers) follower.close();
}
