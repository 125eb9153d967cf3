import type http from 'node:http';
import { type Answer, type RequestOptions, send } from '../http/request.ts';
import type { UrlSource } from '../server/server.ts';

/** One stream, spoken to request by request. */
export class StreamPeer {
  readonly path: string;
  readonly contentType: string;
  readonly #server: UrlSource;
  readonly #agent: http.Agent | undefined;

  /** @param agent whose connections it uses. Default: a new one for each request */
  constructor(server: UrlSource, path: string, contentType = 'text/plain', agent?: http.Agent) {
    this.#server = server;
    this.#agent = agent;
    this.path = path;
    this.contentType = contentType;
  }

  get url(): string {
    return this.#server.url(this.path);
  }

  /** Makes it, or confirms it. */
  create(headers: http.OutgoingHttpHeaders = {}, body?: RequestOptions['body']): Promise<Answer> {
    return this.#send('PUT', this.url, {
      headers: { 'content-type': this.contentType, ...headers },
      ...(body !== undefined && { body }),
    });
  }

  append(body: RequestOptions['body'], headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
    return this.#send('POST', this.url, {
      headers: { 'content-type': this.contentType, ...headers },
      ...(body !== undefined && { body }),
    });
  }

  /** Appends one batch of an idempotent producer. */
  produce(
    body: string,
    producer: { id?: string; epoch?: number; seq: number },
    headers: http.OutgoingHttpHeaders = {},
  ): Promise<Answer> {
    const { id = 'producer', epoch = 0, seq } = producer;
    return this.append(body, {
      'producer-id': id,
      'producer-epoch': epoch,
      'producer-seq': seq,
      ...headers,
    });
  }

  close(): Promise<Answer> {
    return this.#send('POST', this.url, { headers: { 'stream-closed': 'true' } });
  }

  delete(): Promise<Answer> {
    return this.#send('DELETE', this.url);
  }

  head(): Promise<Answer> {
    return this.#send('HEAD', this.url);
  }

  /** `GET` with a query; `offset` is the one that is most often needed. */
  read(offset = '-1', headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
    return this.#send('GET', `${this.url}?offset=${offset}`, { headers });
  }

  longPoll(offset: string, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
    return this.#send('GET', `${this.url}?offset=${offset}&live=long-poll`, { headers });
  }

  /** `GET` without a query: the plain file. */
  plain(headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
    return this.#send('GET', this.url, { headers });
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

  #send(method: string, url: string, options: RequestOptions = {}): Promise<Answer> {
    return send(method, url, { ...options, ...(this.#agent !== undefined && { agent: this.#agent }) });
  }
}
