import type { FastifyBaseLogger } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { AppendNumbers } from '../../core/numbers.ts';
import type { Permit } from '../../core/permit.ts';
import type { AppendRequest } from '../../core/request.ts';
import type { Lease } from '../../core/sessions/lease.ts';
import type { LeaseHolder } from '../../core/sessions/session.ts';
import { type HttpfstreamError, ServerClosingError } from '../../wire/errors.ts';
import type { EndReason } from '../../wire/protocol.ts';
import type { BodyReader, BodySource } from '../request/request-body.ts';
import type { Withdrawal } from '../rights/admission.ts';

/** What a client is told of an append that has finished. */
export interface AppendSummary {
  path: string;
  /** Size of the file afterwards. */
  position: number;
  /** How many bytes came, decoded. */
  bytes: number;
  generation: number;
}

/** An append through a request's body, or a part of one: a session for as long as the bytes last. */
export class HttpAppend implements LeaseHolder, BodyReader {
  readonly numbers: AppendNumbers;
  readonly #core: Core;
  readonly #permit: Permit<'append'>;
  readonly #log: FastifyBaseLogger;
  readonly #openedAt = performance.now();
  #lease: Lease | undefined;
  /** Where the bytes of this request begin. */
  #start = 0;
  #isNew = false;
  #source: BodySource | undefined;
  #statusAtEnd: () => number | undefined = () => undefined;
  #isOver = false;
  /** Settled by the end of the bytes, or by what keeps them from being appended before that. */
  #settle: (end: EndOfAppend) => void = () => undefined;
  readonly #end = new Promise<EndOfAppend>((resolve) => {
    this.#settle = resolve;
  });

  /** @param kind how it came: alone, or as a part of a form */
  constructor(core: Core, permit: Permit<'append'>, log: FastifyBaseLogger, kind: 'body' | 'form') {
    this.numbers = core.numbers.appends[kind];
    this.#core = core;
    this.#permit = permit;
    this.#log = log;
  }

  /** Whether the file was made for it. */
  get isNew(): boolean {
    return this.#isNew;
  }

  /**
   * Acquires the lease of the resource, which `append` gives back.
   *
   * @throws what {@link SessionRegistry.open} throws
   */
  async open(request: AppendRequest): Promise<void> {
    const wasMissing = (await this.#core.directories.kindAt(this.#permit)) === undefined;
    const lease = await this.#core.sessions.open(this.#permit, request, this);
    this.#lease = lease;
    await lease.ready();
    if (lease.failure !== undefined) throw lease.failure;
    this.#start = lease.received;
    this.#isNew = wasMissing;
    this.#log.info(
      { resource: this.#permit.path.toString(), position: this.#start, start: lease.startPosition },
      'append opened',
    );
  }

  /**
   * Appends everything that comes from `source`, then ends.
   *
   * @param statusAtEnd asked at the end for the exit status of the command that wrote it; may throw a refusal
   * @returns what was appended; undefined when the client is gone
   * @throws {InvalidRequestError} when the source fails
   * @throws {ServerClosingError} when the server closes before the end
   * @throws what happened to the file or the disk meanwhile
   */
  async append(
    source: BodySource,
    statusAtEnd: () => number | undefined = () => undefined,
  ): Promise<AppendSummary | undefined> {
    const lease = this.#lease as Lease;
    this.#source = source;
    this.#statusAtEnd = statusAtEnd;
    if (!this.#isOver) source.read(this);
    const { reason, error, status } = await this.#end;
    this.#isOver = true;
    if (reason !== 'finished') source.discard();
    if (reason === 'lost') lease.release();
    else if (reason !== 'deposed') await lease.end(reason, status);
    // An append that has finished is checked once more, and may have failed after all.
    const failure = lease.failure ?? error;
    this.#logEnd(lease, reason);
    if (failure !== undefined) throw failure;
    if (reason !== 'finished') return undefined;
    const { committed, file } = lease;
    return {
      path: this.#permit.path.toString(),
      position: committed,
      bytes: committed - this.#start,
      generation: file.stat.generation,
    };
  }

  take(bytes: Buffer, isMerged?: boolean): void {
    if (!this.#isOver && this.#lease?.append(bytes, isMerged) === false) this.#source?.pause();
  }

  ended(): void {
    try {
      this.#finish({ reason: 'finished', status: this.#statusAtEnd() });
    } catch (error) {
      this.failed(error as HttpfstreamError);
    }
  }

  failed(error: HttpfstreamError): void {
    const resource = this.#permit.path.toString();
    this.#log.warn({ resource, code: error.code }, `append refused: ${error.message}`);
    this.#finish({ reason: 'interrupted', error });
  }

  cut(): void {
    this.#finish({ reason: 'lost' });
  }

  drained(): void {
    if (!this.#isOver) this.#source?.resume();
  }

  /** The answer is the acknowledgement. */
  safe(): void {}

  lost(reason: EndReason, error: HttpfstreamError): void {
    const resource = this.#permit.path.toString();
    this.#log.error({ resource, err: error }, `append failed: ${error.message}`);
    this.#finish({ reason, error });
  }

  deposed(): void {
    this.#finish({ reason: 'deposed' });
  }

  /** Ends it because its client may not go on: who comes back in time with another credential may. */
  withdraw({ isExpired, error }: Withdrawal): void {
    this.#finish({ reason: isExpired ? 'lost' : 'interrupted', error });
  }

  /** Ends it because the server closes. */
  shutDown(): void {
    const error = new ServerClosingError('the server is shutting down');
    this.#finish({ reason: 'shutdown', error });
  }

  #finish(end: EndOfAppend): void {
    this.#isOver = true;
    this.#settle(end);
  }

  #logEnd(lease: Lease, reason: EndOfAppend['reason']): void {
    this.#log.info(
      {
        resource: this.#permit.path.toString(),
        reason: reason === 'deposed' ? reason : (lease.endReason ?? 'lost'),
        bytes: lease.committed - lease.startPosition,
        durationMs: Math.round(performance.now() - this.#openedAt),
      },
      'append closed',
    );
  }
}

/** Why nothing more is taken; `lost`: the connection broke, `deposed`: the client came back through another one. */
interface EndOfAppend {
  reason: EndReason | 'lost' | 'deposed';
  error?: HttpfstreamError;
  status?: number | undefined;
}
