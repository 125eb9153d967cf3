import http from 'node:http';
import { onTestFinished } from 'vitest';
import { waitFor } from '../wait-for.ts';

/** An event as a page gets it. */
export interface DispatchedEvent {
  type: string;
  data: string;
  lastEventId: string;
}

/** How a connection ends before the server ends it: after so many bytes. */
export type CutAfter = () => number;

/**
 * What a browser does with `new EventSource(url)`, by the algorithm of the HTML
 * standard: it keeps the last id, comes back with it whenever the connection
 * ends, and gives up at an answer that is not 200.
 */
export class EventSourceClient {
  readonly events: DispatchedEvent[] = [];
  /** Of each connection the status. */
  readonly statuses: number[] = [];
  /** Set when it has given up. */
  isClosed = false;
  /** Milliseconds, as the server wants it. */
  retryMs: number | undefined;
  readonly #url: string;
  readonly #cutAfter: CutAfter;
  #request: http.ClientRequest | undefined;
  #lastEventId = '';
  #isStopped = false;

  /** @param cutAfter called for each connection; default: none is cut */
  constructor(url: string, cutAfter: CutAfter = () => Number.POSITIVE_INFINITY) {
    this.#url = url;
    this.#cutAfter = cutAfter;
    onTestFinished(() => {
      this.#isStopped = true;
      this.#request?.destroy();
    });
    this.#connect();
  }

  /** The data of all events of a type. */
  data(type = 'data'): string[] {
    return this.events.filter((event) => event.type === type).map(({ data }) => data);
  }

  /** Cuts the connection; it comes back by itself. */
  cut(): void {
    this.#request?.destroy();
  }

  untilClosed(): Promise<void> {
    return waitFor(() => this.isClosed, 'the event source to give up');
  }

  #connect(): void {
    if (this.#isStopped) return;
    const headers = {
      accept: 'text/event-stream',
      ...(this.#lastEventId !== '' && { 'last-event-id': this.#lastEventId }),
    };
    const request = http.get(this.#url, { agent: false, headers });
    this.#request = request;
    // At once: a browser would wait as long as `retry` says.
    request.once('close', () => {
      if (!this.isClosed) setImmediate(() => this.#connect());
    });
    request.on('error', () => undefined);
    request.once('response', (response) => this.#take(request, response));
  }

  #take(request: http.ClientRequest, response: http.IncomingMessage): void {
    this.statuses.push(response.statusCode as number);
    const isEvents = response.statusCode === 200 && response.headers['content-type'] === 'text/event-stream';
    if (!isEvents) {
      this.isClosed = true;
      request.destroy();
      return;
    }
    let bytesLeft = this.#cutAfter();
    const parser = new EventParser(this.#lastEventId, (lastEventId, event) => {
      this.#lastEventId = lastEventId;
      if (event !== undefined) this.events.push(event);
    });
    response.setEncoding('latin1').on('error', () => undefined);
    response.on('data', (text: string) => {
      if (bytesLeft <= 0) return;
      parser.take(Buffer.from(text.slice(0, bytesLeft), 'latin1'));
      bytesLeft -= text.length;
      this.retryMs = parser.retryMs ?? this.retryMs;
      if (bytesLeft <= 0) request.destroy();
    });
  }
}

/** Called at each empty line; there is no event when there was no data. */
type Dispatch = (lastEventId: string, event: DispatchedEvent | undefined) => void;

/** Interprets an event stream (HTML standard, section 9.2.6). */
class EventParser {
  retryMs: number | undefined;
  readonly #dispatch: Dispatch;
  #rest = Buffer.alloc(0);
  #type = '';
  #data = '';
  #lastEventId: string;

  constructor(lastEventId: string, dispatch: Dispatch) {
    this.#lastEventId = lastEventId;
    this.#dispatch = dispatch;
  }

  take(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (let end = this.#rest.indexOf('\n'); end !== -1; end = this.#rest.indexOf('\n')) {
      this.#takeLine(this.#rest.toString('utf8', 0, end));
      this.#rest = this.#rest.subarray(end + 1);
    }
  }

  #takeLine(line: string): void {
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (line === '') this.#end();
    else if (field === 'event') this.#type = value;
    else if (field === 'data') this.#data += `${value}\n`;
    else if (field === 'id' && !value.includes('\0')) this.#lastEventId = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  #end(): void {
    const lastEventId = this.#lastEventId;
    const event = { type: this.#type || 'message', data: this.#data.slice(0, -1), lastEventId };
    this.#dispatch(lastEventId, this.#data === '' ? undefined : event);
    this.#type = '';
    this.#data = '';
  }
}
