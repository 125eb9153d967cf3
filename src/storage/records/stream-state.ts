/** A stretch of a fork's bytes that was copied: how positions in it are named. */
export interface Inheritance {
  /** Generation of the stream that the bytes were appended to. */
  generation: number;
  /** Position up to which, and including which, its names are used. */
  end: number;
}

/** Leads to another stream. */
export interface StreamLink {
  /** Path as in its URL, decoded. */
  path: string;
  /** Fingerprint of its file. */
  fingerprint: string;
}

/** Where a fork came from. */
export interface ForkOrigin extends StreamLink {
  /** What the request said, to know it again. */
  offset?: string;
  subOffset?: number;
  /** How the copied bytes' positions are named, in order. */
  inherited: readonly Inheritance[];
}

/** What a producer has brought last: its id, its epoch, and the number of its request. */
export type ProducerEntry = readonly [id: string, epoch: number, seq: number];

/** What makes a file a copy of one on an upstream. */
export interface CopyState {
  /** Generation of the file there, which names the positions here, too. */
  generation: number;
  /** Whether something was appended here that is not there: since then nothing comes from there. */
  diverged?: true;
  /** Whether it is whole or worth nothing: as long as it has not finished it must not be taken for what is there. */
  isAtomic?: true;
  /** Where it comes from, in the words of whoever has made it, and for nobody else. Missing once it has diverged. */
  source?: object;
}

/** What is remembered of a stream beside its bytes. */
export interface StreamState {
  /** Grows by one with each change, so that one that was made already is known. */
  version: number;
  /** Bytes that belong to it. */
  size: number;
  /** Names its positions in place of the file's, since another program has cut the file: in microseconds since 1970. */
  generation?: number;
  /** Missing for what is no copy. */
  copy?: CopyState;
  /** As it was given. Missing for a file that was not made as a stream. */
  contentType?: string;
  /** Of a file that was not made as a stream: the content type that an append has given. Missing: its name says it. */
  fileType?: string | undefined;
  /** Whether nothing will be appended any more. */
  closed?: true | undefined;
  /** The producer that closed it, and with which request. */
  closedBy?: ProducerEntry;
  /** How long it lives after it was read or written last, in seconds. */
  ttlSeconds?: number;
  /** When it expires, as it was given (RFC 3339). */
  expiresAt?: string;
  /** The last `Stream-Seq`. */
  seq?: string;
  /** Those that came last at the end. */
  producers?: readonly ProducerEntry[];
  origin?: ForkOrigin;
}

/** The state of a file that was not made as a stream. */
export function untypedState(size: number): StreamState {
  return { version: 0, size };
}

/** What becomes of a copy to which something is appended that is not there. */
export function diverged({ generation }: CopyState): CopyState {
  return { generation, diverged: true };
}

/** Whether a file is a copy, and nothing else was appended to it. */
export function isCopy(state: StreamState | undefined): state is StreamState & { copy: CopyState } {
  return state?.copy !== undefined && state.copy.diverged !== true;
}

/** Whether a document says this much at least that can be worked with. */
export function isStreamState(value: unknown): value is StreamState {
  const { version, size } = (value ?? {}) as Partial<StreamState>;
  return Number.isSafeInteger(version) && Number.isSafeInteger(size);
}
