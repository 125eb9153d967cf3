import type { Stream } from '../../core/streams/stream.ts';
import type { StreamLifecycle } from '../../core/streams/stream-lifecycle.ts';
import type { ResourcePath } from '../../storage/resource-path.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { contentTypeOf } from '../content-type.ts';
import { assertBetweenLines } from './json-response.ts';
import { type EventEncoding, eventEncodingOf, readEvent, type StreamEvent } from './sse-events.ts';

/** A stream that is read live: its readers share one open file, and the event that they all want next. */
export class LiveStream {
  readonly stream: Stream;
  readonly encoding: EventEncoding;
  readonly #file: StoredFile;
  #lastKey = '';
  #last: Promise<StreamEvent | undefined> | undefined;

  constructor(stream: Stream, file: StoredFile, encoding: EventEncoding) {
    this.stream = stream;
    this.encoding = encoding;
    this.#file = file;
  }

  /**
   * The bytes from `start` on as one event.
   *
   * @param cursor for the control event in it
   * @returns undefined when there is nothing that can be sent yet
   */
  event(start: number, cursor: string): Promise<StreamEvent | undefined> {
    const { size, closed } = this.stream.state;
    const key = `${start} ${size} ${closed} ${cursor}`;
    if (key !== this.#lastKey || this.#last === undefined) {
      this.#lastKey = key;
      this.#last = readEvent(this.stream, this.#file, start, cursor, this.encoding);
    }
    return this.#last;
  }

  /** @throws {InvalidRequestError} when events cannot begin at a position */
  async assertStart(position: number): Promise<void> {
    if (this.encoding === 'json') await assertBetweenLines(this.#file, position);
  }

  /** Lets the file go. */
  async close(): Promise<void> {
    await this.#last?.catch(() => undefined);
    await this.#file.close();
  }
}

interface Holding {
  live: LiveStream;
  readers: number;
}

/** The streams that are read live. */
export class LiveStreams {
  readonly #streams: StreamLifecycle;
  readonly #holdings = new Map<Stream, Holding>();

  constructor(streams: StreamLifecycle) {
    this.#streams = streams;
  }

  /**
   * Holds a stream to be read live until it is released.
   *
   * @throws what {@link StreamLifecycle.acquire} throws
   */
  async acquire(resource: ResourcePath): Promise<LiveStream> {
    const stream = await this.#streams.acquire(resource);
    void this.#streams.touch(stream.fingerprint, stream.state);
    try {
      const holding = this.#holdings.get(stream) ?? (await this.#open(resource, stream));
      holding.readers++;
      return holding.live;
    } catch (error) {
      this.#streams.release(stream);
      throw error;
    }
  }

  /** To be called once for each {@link acquire}. */
  release(live: LiveStream): void {
    const { stream } = live;
    const holding = this.#holdings.get(stream) as Holding;
    holding.readers--;
    if (holding.readers === 0) {
      this.#holdings.delete(stream);
      // Nothing depends on it.
      void live.close().catch(() => undefined);
    }
    // It lives on from when its last reader has gone.
    void this.#streams.touch(stream.fingerprint, stream.state);
    this.#streams.release(stream);
  }

  async #open(resource: ResourcePath, stream: Stream): Promise<Holding> {
    const file = await this.#streams.open(resource);
    try {
      const name = resource.segments.at(-1) ?? '';
      const type = stream.type ?? (await contentTypeOf(name, file, stream.state.size));
      // Somebody may have opened it meanwhile.
      const other = this.#holdings.get(stream);
      if (other !== undefined) {
        await file.close();
        return other;
      }
      const holding = { live: new LiveStream(stream, file, eventEncodingOf(type)), readers: 0 };
      this.#holdings.set(stream, holding);
      return holding;
    } catch (error) {
      await file.close();
      throw error;
    }
  }
}
