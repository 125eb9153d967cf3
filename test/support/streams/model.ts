/** What a stream is to be, by the protocol's words and nothing else. */
export class ModelStream {
  body = '';
  isClosed = false;
  closedBy: string | undefined;
  seq: string | undefined;
  /** Deleted, and kept for its forks. */
  isBuried = false;
  readonly producers = new Map<string, { epoch: number; seq: number }>();
  readonly origin: { path: string; stream: ModelStream } | undefined;
  readonly forks = new Set<ModelStream>();

  constructor(origin?: { path: string; stream: ModelStream }) {
    this.origin = origin;
    this.body = origin?.stream.body ?? '';
  }
}

export interface ModelAppend {
  body: string;
  close: boolean;
  seq?: string;
  producer?: { id: string; epoch: number; seq: number };
}

/** All streams of a server. Each method says with which status the server has to answer. */
export class StreamsModel {
  readonly streams = new Map<string, ModelStream>();

  create(path: string, body: string, isClosed: boolean): number {
    const there = this.streams.get(path);
    if (there === undefined) {
      const made = new ModelStream();
      made.body = body;
      made.isClosed = isClosed;
      this.streams.set(path, made);
      return 201;
    }
    return !there.isBuried && there.origin === undefined && there.isClosed === isClosed ? 200 : 409;
  }

  /** Of a source that is there, or was. */
  fork(path: string, sourcePath: string): number {
    const there = this.streams.get(path);
    if (there !== undefined) {
      return !there.isBuried && there.origin?.path === sourcePath && !there.isClosed ? 200 : 409;
    }
    const source = this.streams.get(sourcePath);
    if (source === undefined) return 404;
    if (source.isBuried) return 409;
    const made = new ModelStream({ path: sourcePath, stream: source });
    source.forks.add(made);
    this.streams.set(path, made);
    return 201;
  }

  append(path: string, append: ModelAppend): number {
    const stream = this.streams.get(path);
    if (stream === undefined) return 404;
    if (stream.isBuried) return 410;
    const { body, close, seq, producer } = append;
    const key = producer && `${producer.id}/${producer.epoch}/${producer.seq}`;
    const last = producer && stream.producers.get(producer.id);
    if (stream.isClosed) {
      if (key === undefined) return close && body === '' ? 204 : 409;
      if (key === stream.closedBy) return 204;
      return last !== undefined && (producer?.epoch ?? 0) < last.epoch ? 403 : 409;
    }
    if (producer !== undefined) {
      const status = judgeProducer(producer, last);
      if (status !== 200) return status;
    }
    if (seq !== undefined && stream.seq !== undefined && seq <= stream.seq) return 409;
    if (producer !== undefined) stream.producers.set(producer.id, producer);
    if (seq !== undefined) stream.seq = seq;
    stream.body += body;
    stream.isClosed = close;
    if (close) stream.closedBy = key;
    return producer === undefined || body === '' ? 204 : 200;
  }

  /** Through a session, to a stream that is there. */
  appendSession(path: string, body: string): boolean {
    const stream = this.streams.get(path);
    if (stream === undefined || stream.isBuried || stream.isClosed) return false;
    stream.body += body;
    return true;
  }

  delete(path: string): number {
    const stream = this.streams.get(path);
    if (stream === undefined) return 404;
    if (stream.isBuried) return 410;
    if (stream.forks.size > 0) stream.isBuried = true;
    else this.#forget(path, stream);
    return 204;
  }

  #forget(path: string, stream: ModelStream): void {
    this.streams.delete(path);
    if (stream.origin === undefined) return;
    const source = stream.origin.stream;
    source.forks.delete(stream);
    if (source.isBuried && source.forks.size === 0) this.#forget(stream.origin.path, source);
  }
}

function judgeProducer(
  { epoch, seq }: { epoch: number; seq: number },
  last: { epoch: number; seq: number } | undefined,
): number {
  if (last === undefined) return seq === 0 ? 200 : 409;
  if (epoch < last.epoch) return 403;
  if (epoch > last.epoch) return seq === 0 ? 200 : 400;
  if (seq <= last.seq) return 204;
  return seq === last.seq + 1 ? 200 : 409;
}
