import http from 'node:http';
import { Readable } from 'node:stream';
import { PATIENCE_MS } from '../patience.ts';

/** What a server answered, with what Durable Streams clients look at. */
export interface StreamAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
  text: string;
  /** `Stream-Next-Offset`; empty when there is none. */
  nextOffset: string;
  /** Of a problem document; undefined in anything else. */
  code: string | undefined;
}

export interface StreamRequest {
  headers?: http.OutgoingHttpHeaders;
  /** A string or a buffer goes with its length; anything else in chunks. */
  body?: string | Buffer | Iterable<string | Buffer> | AsyncIterable<string | Buffer>;
  /** Default: a connection of its own. */
  agent?: http.Agent;
}

/** Sends one request and reads the whole answer. Rejects when the connection breaks. */
export function send(
  method: string,
  url: string,
  { headers = {}, body, agent }: StreamRequest = {},
): Promise<StreamAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(url, { method, headers, agent: agent ?? false });
    const timer = setTimeout(() => {
      outgoing.destroy(new Error(`${method} ${url} was not answered within ${PATIENCE_MS} ms`));
    }, PATIENCE_MS);
    const fail = (error: Error) => {
      clearTimeout(timer);
      reject(error);
    };
    outgoing.once('error', fail);
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', fail);
      response.once('end', () => {
        clearTimeout(timer);
        resolve(answerOf(response, Buffer.concat(chunks)));
      });
    });
    if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) {
      if (body !== undefined) outgoing.setHeader('content-length', Buffer.byteLength(body));
      outgoing.end(body);
    } else {
      Readable.from(body, { objectMode: true })
        .on('error', (error) => outgoing.destroy(error))
        .pipe(outgoing);
    }
  });
}

function answerOf({ statusCode = 0, headers }: http.IncomingMessage, body: Buffer): StreamAnswer {
  const isProblem = headers['content-type']?.startsWith('application/problem+json') === true;
  return {
    status: statusCode,
    headers,
    body,
    text: body.toString(),
    nextOffset: String(headers['stream-next-offset'] ?? ''),
    code: isProblem && body.length > 0 ? (JSON.parse(body.toString()).code as string) : undefined,
  };
}

/** Makes URLs; also of a server that listens somewhere else each time it is started. */
export interface UrlSource {
  url(path: string): string;
}

/** One stream, spoken to request by request. */
export class StreamPeer {
  readonly path: string;
  readonly contentType: string;
  readonly #server: UrlSource;

  constructor(server: UrlSource, path: string, contentType = 'text/plain') {
    this.#server = server;
    this.path = path;
    this.contentType = contentType;
  }

  get url(): string {
    return this.#server.url(this.path);
  }

  /** Makes it, or confirms it. */
  create(headers: http.OutgoingHttpHeaders = {}, body?: StreamRequest['body']): Promise<StreamAnswer> {
    return send('PUT', this.url, {
      headers: { 'content-type': this.contentType, ...headers },
      ...(body !== undefined && { body }),
    });
  }

  append(body: StreamRequest['body'], headers: http.OutgoingHttpHeaders = {}): Promise<StreamAnswer> {
    return send('POST', this.url, {
      headers: { 'content-type': this.contentType, ...headers },
      ...(body !== undefined && { body }),
    });
  }

  /** Appends one batch of an idempotent producer. */
  produce(
    body: string,
    producer: { id?: string; epoch?: number; seq: number },
    headers: http.OutgoingHttpHeaders = {},
  ): Promise<StreamAnswer> {
    const { id = 'producer', epoch = 0, seq } = producer;
    return this.append(body, {
      'producer-id': id,
      'producer-epoch': epoch,
      'producer-seq': seq,
      ...headers,
    });
  }

  close(): Promise<StreamAnswer> {
    return send('POST', this.url, { headers: { 'stream-closed': 'true' } });
  }

  delete(): Promise<StreamAnswer> {
    return send('DELETE', this.url);
  }

  head(): Promise<StreamAnswer> {
    return send('HEAD', this.url);
  }

  /** `GET` with a query; `offset` is the one that is most often needed. */
  read(offset = '-1', headers: http.OutgoingHttpHeaders = {}): Promise<StreamAnswer> {
    return send('GET', `${this.url}?offset=${offset}`, { headers });
  }

  longPoll(offset: string, headers: http.OutgoingHttpHeaders = {}): Promise<StreamAnswer> {
    return send('GET', `${this.url}?offset=${offset}&live=long-poll`, { headers });
  }

  /** `GET` without a query: the plain file. */
  plain(headers: http.OutgoingHttpHeaders = {}): Promise<StreamAnswer> {
    return send('GET', this.url, { headers });
  }

  /** Reads from the start to the tail, however many answers that takes. */
  async readAll(): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let offset = '-1';
    for (let answers = 0; answers < 1000; answers++) {
      const answer = await this.read(offset);
      if (answer.status !== 200) throw new Error(`status ${answer.status} for the offset ${offset}`);
      pieces.push(answer.body);
      if (answer.headers['stream-up-to-date'] === 'true') return Buffer.concat(pieces);
      offset = answer.nextOffset;
    }
    throw new Error('no end after 1,000 answers');
  }
}
