import type { FastifyBaseLogger, FastifyRequest } from 'fastify';
import { TooManyRequestsError } from '../../wire/errors.ts';
import { QueryName } from '../../wire/protocol.ts';
import { Budgets } from './budgets.ts';
import { addressKeyOf, clientKeyOf } from './client-key.ts';

/** So many seconds' worth of requests may come at the same time. */
const BURST_SECONDS = 5;

/**
 * How many times as many may go on with an append, or a follower, that was cut: a restart of the server brings all of
 * them at the same time. That they do, everybody can say, so that there is a bound.
 */
const RESUMES = 10;

/** How many credentials that do not count an address may bring in a minute. */
const FAILURES_PER_MINUTE = 20;

/** What each client may ask for. */
export interface ClientLimitOptions {
  /** How many requests a second; 0: any number. */
  rate: number;
  /** How many requests may wait for what is missing, or is to come, of all clients, … */
  maxWaiting: number;
  /** … and of each. */
  maxWaitingPerClient: number;
}

/** What a client may ask for, by its credential, or by its address if it has none. */
export class ClientLimits {
  #options: ClientLimitOptions;
  readonly #log: FastifyBaseLogger;
  #budgets: RequestBudgets | undefined;
  readonly #failures = new Budgets({ perSecond: FAILURES_PER_MINUTE / 60, burst: FAILURES_PER_MINUTE });
  /** How many wait, by client. */
  readonly #waiting = new Map<string, number>();
  #waitingCount = 0;
  #hasWarned = false;

  constructor(options: ClientLimitOptions, log: FastifyBaseLogger) {
    this.#options = options;
    this.#log = log;
    this.#budgets = budgetsOf(options);
  }

  /** Has others count from now on. */
  change(options: ClientLimitOptions): void {
    if (options.rate !== this.#options.rate) this.#budgets = budgetsOf(options);
    this.#options = options;
  }

  /**
   * Counts a request, once it is known who has sent it.
   *
   * @throws {TooManyRequestsError} when there are too many
   */
  countRequest(request: FastifyRequest): void {
    (request as Limited)[LIMITS] = this;
    this.#warnOfProxy(request);
    const client = clientKeyOf(request);
    if (this.#budgets === undefined || client === undefined) return;
    const budgets = this.#budgets[isResuming(request) ? 'resumes' : 'others'];
    if (budgets.spend(client)) return;
    throw new TooManyRequestsError('there are too many requests', 'rate');
  }

  /**
   * Notes that a credential does not count.
   *
   * @throws {TooManyRequestsError} when its address has brought too many of these
   */
  failed({ ip }: FastifyRequest): void {
    const client = addressKeyOf(ip);
    if (client === undefined || this.#failures.spend(client)) return;
    throw new TooManyRequestsError('there were too many credentials that do not count', 'credentials');
  }

  /**
   * Counts one who waits.
   *
   * @returns to be called once, when that is over; undefined when too many do
   */
  wait(request: FastifyRequest): (() => void) | undefined {
    const { maxWaiting, maxWaitingPerClient } = this.#options;
    const client = clientKeyOf(request);
    const own = client === undefined ? 0 : (this.#waiting.get(client) ?? 0);
    if (this.#waitingCount >= maxWaiting || own >= maxWaitingPerClient) return undefined;
    this.#waitingCount++;
    if (client !== undefined) this.#waiting.set(client, own + 1);
    return () => this.#over(client);
  }

  #over(client: string | undefined): void {
    this.#waitingCount--;
    if (client === undefined) return;
    const left = (this.#waiting.get(client) as number) - 1;
    if (left > 0) this.#waiting.set(client, left);
    else this.#waiting.delete(client);
  }

  /** Once: what it says may be made up, and then its clients are one. */
  #warnOfProxy({ headers, ips = [] }: FastifyRequest): void {
    if (this.#hasWarned || headers['x-forwarded-for'] === undefined || ips.length > 1) return;
    this.#hasWarned = true;
    this.#log.warn(
      'a proxy that is not trusted says for whom it asks (X-Forwarded-For): to the limits for each client all of its ' +
        'clients are one (-trust-proxy names the proxies to be believed)',
    );
  }
}

/** What each client may send: going on with what was cut, and anything else. */
type RequestBudgets = Readonly<Record<'resumes' | 'others', Budgets>>;

function budgetsOf({ rate }: ClientLimitOptions): RequestBudgets | undefined {
  if (rate === 0) return undefined;
  const budgets = (perSecond: number) => new Budgets({ perSecond, burst: perSecond * BURST_SECONDS });
  return { resumes: budgets(rate * RESUMES), others: budgets(rate) };
}

const LIMITS = Symbol('limits');

type Limited = FastifyRequest & { [LIMITS]?: ClientLimits };

/**
 * Counts a request as one that waits.
 *
 * @returns to be called once, when that is over
 * @throws {TooManyRequestsError} when too many do
 */
export function enterWaiting(request: FastifyRequest): () => void {
  const leave = tryToWait(request);
  if (leave === undefined) throw new TooManyRequestsError('there are too many requests that wait', 'waiting');
  return leave;
}

/** As {@link enterWaiting}, of one that can do without: undefined when too many wait. */
export function tryToWait(request: FastifyRequest): (() => void) | undefined {
  return ((request as Limited)[LIMITS] as ClientLimits).wait(request);
}

/** Whether a request says that it goes on with an append, or a follower, that had begun. */
function isResuming({ query }: FastifyRequest): boolean {
  const names = query as Record<string, unknown>;
  return QueryName.session in names || (QueryName.from in names && QueryName.generation in names);
}
