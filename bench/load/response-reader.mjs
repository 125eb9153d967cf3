const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');
const MAX_HEAD_BYTES = 64 * 1024;

/** What the bytes are that come next. */
const HEAD = 0;
const BODY = 1;
const CHUNK_SIZE = 2;
const CHUNK_DATA = 3;
const CHUNK_END = 4;
const TRAILER = 5;

/**
 * Finds the ends of the responses on one connection, and looks at nothing else: a response
 * that comes in one read costs a search for the end of its head and two for header names.
 */
export class ResponseReader {
  /** Called with the bytes of a body, which are good until it returns: `(chunk, from, to)`. */
  onBody = () => {};
  /** Called when a head has come, before its body: `(status, head)`. */
  onHead = () => {};
  /** Called at the end of each response: `(status, head)`. */
  onResponse = () => {};
  #state = HEAD;
  #status = 0;
  #head = '';
  #remaining = 0;
  #partial = Buffer.alloc(0);
  #isHead;

  /** @param {{ isHead?: boolean }} options whether the requests are HEAD, whose answers have no body */
  constructor({ isHead = false } = {}) {
    this.#isHead = isHead;
  }

  /** Takes the first `length` bytes of `chunk`. */
  push(chunk, length) {
    let bytes = chunk.subarray(0, length);
    if (this.#partial.length > 0) {
      bytes = Buffer.concat([this.#partial, bytes]);
      this.#partial = Buffer.alloc(0);
    }
    let at = 0;
    while (at < bytes.length) {
      const next = this.#take(bytes, at);
      if (next === -1) {
        this.#keep(bytes.subarray(at));
        return;
      }
      at = next;
    }
  }

  /** Takes what can be taken at `at`; returns where it goes on, or -1 when more bytes are needed. */
  #take(bytes, at) {
    switch (this.#state) {
      case HEAD:
        return this.#takeHead(bytes, at);
      case BODY:
      case CHUNK_DATA:
        return this.#takeBody(bytes, at);
      case CHUNK_SIZE:
        return this.#takeChunkSize(bytes, at);
      default:
        return this.#takeLine(bytes, at);
    }
  }

  #takeHead(bytes, at) {
    const end = bytes.indexOf(HEAD_END, at);
    if (end === -1) return -1;
    const head = bytes.latin1Slice(at, end + 2);
    const status = Number(head.slice(9, 12));
    if (!head.startsWith('HTTP/1.') || !(status >= 100)) throw new Error(`no response: ${head.slice(0, 60)}`);
    const next = end + HEAD_END.length;
    if (status < 200) return next;
    this.#status = status;
    this.#head = head;
    this.onHead(status, head);
    if (this.#isHead || status === 204 || status === 304) {
      this.#finish();
    } else if (/\r\ntransfer-encoding: *chunked\r\n/i.test(head)) {
      this.#state = CHUNK_SIZE;
    } else {
      this.#remaining = Number(headerOf(head, 'content-length') ?? Number.POSITIVE_INFINITY);
      if (this.#remaining === 0) this.#finish();
      else this.#state = BODY;
    }
    return next;
  }

  #takeBody(bytes, at) {
    const to = Math.min(bytes.length, at + this.#remaining);
    this.onBody(bytes, at, to);
    this.#remaining -= to - at;
    if (this.#remaining === 0) {
      if (this.#state === BODY) this.#finish();
      else this.#state = CHUNK_END;
    }
    return to;
  }

  #takeChunkSize(bytes, at) {
    const end = bytes.indexOf(LINE_END, at);
    if (end === -1) return -1;
    const size = Number.parseInt(bytes.latin1Slice(at, end), 16);
    if (!(size >= 0)) throw new Error('no size of a chunk');
    this.#remaining = size;
    this.#state = size === 0 ? TRAILER : CHUNK_DATA;
    return end + 2;
  }

  /** The end of a chunk, or a line of the trailer, of which the empty one is the last. */
  #takeLine(bytes, at) {
    const end = bytes.indexOf(LINE_END, at);
    if (end === -1) return -1;
    if (this.#state === CHUNK_END) this.#state = CHUNK_SIZE;
    else if (end === at) this.#finish();
    return end + 2;
  }

  #finish() {
    this.#state = HEAD;
    this.onResponse(this.#status, this.#head);
  }

  #keep(bytes) {
    if (bytes.length > MAX_HEAD_BYTES) throw new Error('a head without an end');
    // The bytes are the caller's buffer, which is read into again.
    this.#partial = Buffer.from(bytes);
  }
}

/** The value of a header in a response's head, or undefined. */
export function headerOf(head, name) {
  return new RegExp(`\r\n${name}: *([^\r\n]*)\r\n`, 'i').exec(head)?.[1];
}
