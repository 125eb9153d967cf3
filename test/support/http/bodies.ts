import http from 'node:http';
import type { Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { type Answer, answerOf } from './request.ts';

export interface BodyOptions {
  method?: string;
  headers?: http.OutgoingHttpHeaders;
}

/** A request whose body is written bit by bit. */
export class Upload {
  readonly request: http.ClientRequest;
  /** Rejects when the connection breaks without an answer. */
  readonly answer: Promise<Answer>;
  /** Whether `100 Continue` came. */
  isContinued = false;

  constructor(url: string, { method = 'PUT', headers = {} }: BodyOptions = {}) {
    this.request = http.request(url, { method, headers, agent: false });
    this.request.flushHeaders();
    onTestFinished(() => void this.request.destroy());
    this.request.on('error', () => undefined);
    this.request.on('continue', () => {
      this.isContinued = true;
    });
    this.answer = answerOf(this.request);
    this.answer.catch(() => undefined);
  }

  /** Resolves when the system has taken the bytes. */
  write(bytes: string | Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.request.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Ends the body, and waits for the answer. */
  async end(bytes: string | Buffer = ''): Promise<Answer> {
    this.request.end(bytes);
    return this.answer;
  }

  /** Cuts the connection. */
  cut(): void {
    this.request.destroy();
  }
}

/** An answer that is read as it comes. */
export class Download {
  readonly request: http.ClientRequest;
  readonly chunks: Buffer[] = [];
  status = 0;
  headers: http.IncomingHttpHeaders = {};
  /** How the body ended. */
  end: 'clean' | 'broken' | undefined;
  #byteCount = 0;
  #response: http.IncomingMessage | undefined;

  private constructor(url: string, { method = 'GET', headers = {} }: BodyOptions) {
    this.request = http.request(url, { method, headers, agent: false });
    this.request.on('error', () => {
      this.end ??= 'broken';
    });
    onTestFinished(() => void this.request.destroy());
  }

  /** Asks, and resolves when the head of the answer is there, or the connection broke. */
  static async open(url: string, options: BodyOptions = {}): Promise<Download> {
    const download = Download.ask(url, options);
    await waitFor(() => download.status > 0 || download.end !== undefined, `an answer from ${url}`);
    return download;
  }

  /** Asks, and waits for nothing. */
  static ask(url: string, options: BodyOptions = {}): Download {
    const download = new Download(url, options);
    download.request.once('response', (response) => download.#take(response));
    download.request.end();
    return download;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get byteCount(): number {
    return this.#byteCount;
  }

  get text(): string {
    return this.bytes.toString();
  }

  /** What came after the body, once that has ended. */
  get trailers(): NodeJS.Dict<string> {
    return this.#response?.trailers ?? {};
  }

  get socket(): Socket {
    return this.request.socket as Socket;
  }

  pause(): void {
    this.#response?.pause();
  }

  resume(): void {
    this.#response?.resume();
  }

  /** Waits until this text, and nothing else, has come. */
  async untilText(text: string): Promise<void> {
    await waitFor(() => this.text === text, `the text ${JSON.stringify(text)}`).catch((error) => {
      throw new Error(`${error.message}; there is ${JSON.stringify(this.text.slice(0, 200))}`);
    });
  }

  /** Waits for the end of the body, or of the connection. */
  async untilEnd(): Promise<'clean' | 'broken'> {
    await waitFor(() => this.end !== undefined, 'the end of the body');
    return this.end as 'clean' | 'broken';
  }

  #take(response: http.IncomingMessage): void {
    this.#response = response;
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    response.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk);
      this.#byteCount += chunk.length;
    });
    response.once('end', () => {
      this.end ??= 'clean';
    });
    response.once('error', () => {
      this.end ??= 'broken';
    });
  }
}
