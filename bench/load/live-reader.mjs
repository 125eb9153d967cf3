import { HttpConnection, openConnections } from './http-connection.mjs';
import { httpRequest } from './http-request.mjs';
import { headerOf } from './response-reader.mjs';

/** Ends each append and is nowhere else in an answer: one byte is never split over two reads. */
export const MARK = '#'.charCodeAt(0);

/** One that reads a stream live and counts the appends that have come. */
export class LiveReader {
  #connection;
  #name;
  #kind;
  /** Appends so far. */
  appends = 0;
  /** Called when one has come. */
  onAppend = () => {};

  /** @param {'long-poll' | 'sse'} kind */
  constructor(connection, name, kind) {
    this.#connection = connection;
    this.#name = name;
    this.#kind = kind;
    const { reader } = connection;
    reader.onHead = (status) => {
      if (status !== 200 && status !== 204) throw new Error(`a live read is answered with ${status}`);
    };
    reader.onBody = (chunk, from, to) => this.#count(chunk, from, to);
    reader.onResponse = (_, head) => {
      if (kind === 'sse') throw new Error('the server ended SSE before everything had come');
      this.#ask(headerOf(head, 'stream-next-offset'));
    };
  }

  /** Reads from `offset` on. */
  start(offset) {
    this.#ask(offset);
  }

  /** Calls back when the connection fails. */
  set onFailure(callback) {
    this.#connection.onFailure = callback;
  }

  /** Reads nothing any more, without a word to the server. */
  stall() {
    this.#connection.stall();
  }

  close() {
    this.#connection.close();
  }

  #ask(offset) {
    this.#connection.send(httpRequest('GET', `${this.#name}?offset=${offset}&live=${this.#kind}`));
  }

  #count(chunk, from, to) {
    const before = this.appends;
    for (let at = chunk.indexOf(MARK, from); at !== -1 && at < to; at = chunk.indexOf(MARK, at + 1)) {
      this.appends++;
    }
    if (this.appends > before) this.onAppend(this);
  }
}

/** Opens many readers of one stream, which begin at `offset`. */
export async function openReaders(port, count, { name, kind, offset }) {
  const connections = await openConnections(port, count);
  const readers = connections.map((connection) => new LiveReader(connection, name, kind));
  for (const reader of readers) reader.start(offset);
  return readers;
}

/** Resolves when the server has answered a request that was sent after all others, and has had a moment. */
export async function isQuiet(port, name, settleMs) {
  const connection = await HttpConnection.open(port, { isHead: true });
  try {
    await connection.expect(httpRequest('HEAD', name), 200);
  } finally {
    connection.close();
  }
  await new Promise((resolve) => setTimeout(resolve, settleMs));
}
