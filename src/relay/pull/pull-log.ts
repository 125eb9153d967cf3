import type { Lease } from '../../core/sessions/lease.ts';
import { type HttpfstreamError, ResourceNotFoundError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** Where a log gets its lines. */
export interface RelayLog {
  debug(detail: object, message: string): void;
  info(detail: object, message: string): void;
  warn(detail: object, message: string): void;
}

/** What the log is told of one pull. */
export class PullLog {
  readonly #log: RelayLog;
  readonly #of: { resource: string; upstream: string };
  readonly #begunAtMs = performance.now();
  #joinCount = 0;
  /** Where it began to append, if it did. */
  #position: number | undefined;
  #whyUnkept: string | undefined;

  constructor(log: RelayLog, path: ResourcePath, { origin }: Upstream) {
    this.#log = log;
    this.#of = { resource: path.toString(), upstream: origin };
  }

  /** It begins to append to the copy. */
  opened(position: number): void {
    this.#position = position;
    this.#log.info({ ...this.#of, position }, 'pull opened');
  }

  /** One more asks for what is under way. */
  joined(): void {
    this.#joinCount++;
    this.#log.debug(this.#of, 'pull joined');
  }

  /** It goes on after a cut. */
  resumed(position: number): void {
    this.#log.info({ ...this.#of, position }, 'pull resumed');
  }

  /** Nothing of it stays here. The first reason is the one that is told. */
  unkept(why: string): void {
    this.#whyUnkept ??= why;
  }

  /**
   * Nothing more comes. Told only if anything came of it.
   *
   * @param lease the append to the copy, if it has begun
   * @param failure why it has failed, if it has
   */
  closed(lease: Lease | undefined, failure: unknown): void {
    const why = this.#whyUnkept;
    const hasFailed = failure !== undefined && !(failure instanceof ResourceNotFoundError);
    if (lease === undefined && why === undefined && !hasFailed) return;
    const { code = 'failed', message } = (failure ?? {}) as Partial<HttpfstreamError>;
    this.#log.info(
      {
        ...this.#of,
        reason: failure === undefined ? (lease?.endReason ?? 'passed on') : code,
        ...(message !== undefined && { detail: message }),
        bytes: lease === undefined || this.#position === undefined ? 0 : lease.committed - this.#position,
        joined: this.#joinCount,
        kept: lease !== undefined && why === undefined,
        ...(why !== undefined && { why }),
        durationMs: Math.round(performance.now() - this.#begunAtMs),
      },
      'pull closed',
    );
  }
}
