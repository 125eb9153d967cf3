import type { Resources } from '../../core/resources.ts';
import type { Stream } from '../../core/streams/stream.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { ResourceNotFoundError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { assertBetweenLines } from '../json/json-response.ts';
import { arrayOfLines } from '../json/json-values.ts';
import { contentTypeOf } from '../response/content-type.ts';
import { type EventEncoding, type EventPiece, EventReader, eventEncodingOf } from './sse-events.ts';

/** What several readers want at the same time is read once. */
class SharedRead<T> {
  #key = '';
  #last: Promise<T> | undefined;
  readonly #underWay = new Set<Promise<T>>();

  get(key: string, read: () => Promise<T>): Promise<T> {
    if (this.#last !== undefined && key === this.#key) return this.#last;
    const reading = read();
    this.#key = key;
    this.#last = reading;
    this.#underWay.add(reading);
    const over = () => this.#underWay.delete(reading);
    reading.then(over, () => {
      over();
      // The next one tries again.
      if (this.#last === reading) this.#last = undefined;
    });
    return reading;
  }

  /** Resolves when nothing is being read. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }
}

/** A stream that is read live: its readers share one open file, and what they all want next. */
export class LiveStream {
  readonly stream: Stream;
  /** What it holds. */
  readonly contentType: string;
  /** How its bytes become data of events. */
  readonly encoding: EventEncoding;
  readonly #file: StoredFile;
  readonly #reader: EventReader;
  readonly #pieces = new SharedRead<EventPiece | undefined>();
  readonly #blocks = new SharedRead<Buffer>();

  constructor(stream: Stream, file: StoredFile, contentType: string) {
    this.stream = stream;
    this.contentType = contentType;
    this.encoding = eventEncodingOf(contentType);
    this.#file = file;
    this.#reader = new EventReader(stream, file, this.encoding);
  }

  /**
   * The bytes from `start` on as an event, or as much of it as is sent at a time.
   *
   * @param eventEnd where the event ends, if it has begun before
   * @returns undefined when there is nothing that can be sent yet
   * @throws what {@link Stream.assertWhole} throws
   */
  async piece(start: number, eventEnd: number | undefined): Promise<EventPiece | undefined> {
    this.stream.assertWhole();
    if (eventEnd !== undefined) {
      return this.#pieces.get(`${start} of ${eventEnd}`, () => this.#reader.goOn(start, eventEnd));
    }
    const { size, closed } = this.stream.state;
    return this.#pieces.get(`${start} ${size} ${closed}`, () => this.#reader.begin(start));
  }

  /**
   * The bytes from `start` up to but not including `end`; those of JSON values as an array, if that is asked for.
   *
   * @throws what {@link Stream.assertWhole} throws
   */
  async block(start: number, end: number, isArray: boolean): Promise<Buffer> {
    this.stream.assertWhole();
    return this.#blocks.get(`${start} ${end} ${isArray}`, async () => {
      const bytes = await this.#file.read(start, end - start);
      return isArray ? arrayOfLines(bytes) : bytes;
    });
  }

  /** @throws {InvalidRequestError} when a position is within a JSON value */
  assertStart(position: number): void {
    if (this.encoding === 'json') assertBetweenLines(this.#file, position);
  }

  /** Lets the file go. */
  async close(): Promise<void> {
    await Promise.all([this.#pieces.settled(), this.#blocks.settled()]);
    await this.#file.close();
  }
}

interface Holding {
  live: LiveStream;
  readers: number;
}

/** The streams that are read live. */
export class LiveStreams {
  readonly #resources: Resources;
  readonly #holdings = new Map<Stream, Holding>();

  constructor(resources: Resources) {
    this.#resources = resources;
  }

  /**
   * Holds a stream to be read live until it is released.
   *
   * @throws what {@link Resources.acquire} and {@link Stream.assertWhole} throw
   */
  async acquire(resource: ResourcePath): Promise<LiveStream> {
    const stream = await this.#resources.acquire(resource);
    try {
      stream.assertWhole();
      void this.#resources.touch(stream.fingerprint, stream.state);
      const opened = this.#holdings.has(stream) ? undefined : await this.#open(resource, stream);
      // Somebody may have been faster.
      const holding = this.#holdings.get(stream) ?? { live: opened as LiveStream, readers: 0 };
      this.#holdings.set(stream, holding);
      holding.readers++;
      if (opened !== undefined && opened !== holding.live) void opened.close().catch(() => undefined);
      return holding.live;
    } catch (error) {
      this.#resources.release(stream);
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
    void this.#resources.touch(stream.fingerprint, stream.state);
    this.#resources.release(stream);
  }

  async #open(resource: ResourcePath, stream: Stream): Promise<LiveStream> {
    const file = await this.#resources.open(resource);
    try {
      if (file.stat.fingerprint !== stream.fingerprint) {
        throw new ResourceNotFoundError('the stream was deleted');
      }
      const name = resource.segments.at(-1) ?? '';
      const type = stream.type ?? contentTypeOf(name, file, stream.state.size);
      return new LiveStream(stream, file, type);
    } catch (error) {
      await file.close();
      throw error;
    }
  }
}
