import http from 'node:http';
import { onTestFinished } from 'vitest';
import { waitFor } from '../wait-for.ts';

/** One event as it came; the lines of its data are joined by LF. */
export interface SseEvent {
  event: string;
  data: string;
}

/** What a `control` event says. */
export interface SseControl {
  streamNextOffset: string;
  streamCursor?: string;
  upToDate?: boolean;
  streamClosed?: boolean;
}

/** A reader of server-sent events that keeps everything. The connection is gone after the test. */
export class SseReader {
  readonly response: http.IncomingMessage;
  readonly #chunks: Buffer[] = [];
  /** How much has come. */
  byteCount = 0;
  /** The body has ended as it should. */
  isEnded = false;
  /** The connection is gone, one way or the other. */
  isClosed = false;

  private constructor(response: http.IncomingMessage) {
    this.response = response;
    response.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.byteCount += chunk.length;
    });
    response.on('error', () => undefined);
    response.once('end', () => {
      this.isEnded = true;
    });
    response.once('close', () => {
      this.isClosed = true;
    });
  }

  /** Resolves with the head of the answer. */
  static open(streamUrl: string, offset = '-1', headers: http.OutgoingHttpHeaders = {}): Promise<SseReader> {
    return new Promise((resolve, reject) => {
      const request = http.get(`${streamUrl}?offset=${offset}&live=sse`, { agent: false, headers });
      onTestFinished(() => void request.destroy());
      request.once('error', reject);
      request.once('response', (response) => resolve(new SseReader(response)));
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** All whole events so far. */
  get events(): SseEvent[] {
    return parseEvents(this.bytes.toString());
  }

  get controls(): SseControl[] {
    return this.events.filter(({ event }) => event === 'control').map(({ data }) => JSON.parse(data));
  }

  /** The data of all data events, one after the other. */
  get data(): string {
    return this.events
      .filter(({ event }) => event === 'data')
      .map(({ data }) => data)
      .join('');
  }

  get isUpToDate(): boolean {
    return this.controls.at(-1)?.upToDate === true;
  }

  waitForData(text: string): Promise<void> {
    return waitFor(() => this.data.includes(text), `${JSON.stringify(text)} among the events`);
  }

  waitUntilUpToDate(): Promise<void> {
    return waitFor(() => this.isUpToDate, 'an event that says upToDate');
  }

  waitForClose(): Promise<void> {
    return waitFor(() => this.isClosed, 'the server to close the events');
  }

  destroy(): void {
    this.response.destroy();
  }
}

/** Takes whole events apart, as the SSE standard says for LF line ends. */
export function parseEvents(text: string): SseEvent[] {
  const blocks = text.split('\n\n');
  // What comes after the last empty line is not whole yet.
  blocks.pop();
  return blocks.flatMap((block) => {
    const fields = block.split('\n').map((line) => /^([^:]*): ?(.*)$/s.exec(line));
    const valuesOf = (name: string) =>
      fields.filter((field) => field?.[1] === name).map((field) => field?.[2] ?? '');
    const data = valuesOf('data');
    return data.length === 0 ? [] : [{ event: valuesOf('event')[0] ?? 'message', data: data.join('\n') }];
  });
}
