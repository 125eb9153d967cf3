import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { ANYBODY, Permit, refusalOf } from '../../core/permit.ts';
import type { SessionRegistry } from '../../core/sessions/session-registry.ts';
import type { Access, Right, Subject } from '../../rights/access.ts';
import { UnauthorizedError } from '../../wire/errors.ts';
import { METHODS } from '../../wire/protocol.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { resourceOf } from '../request/request-target.ts';
import { Admission, type Authorizer, admit, UNDECIDED } from './admission.ts';
import { Admissions } from './admissions.ts';
import { takeToken } from './credential.ts';
import { type Need, type NeedsOptions, needsOf } from './needs.ts';

/**
 * Decides for an application whether a request may do something; an error that it throws is the answer.
 *
 * @param asked the right, and the canonical path, decoded; that of a directory ends with a slash
 */
export type Authorize = (
  request: FastifyRequest,
  asked: { path: string; right: Right },
) => boolean | Promise<boolean>;

/** Bounds how many credentials are tried. */
export interface CredentialLimits {
  /**
   * Notes that one does not count.
   *
   * @throws {TooManyRequestsError} when there were too many of these
   */
  failed(request: FastifyRequest): void;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What is needed for a page of the server's own. Default: nothing. */
    right?: 'admin';
  }
}

/** Of the server's own pages: a right that has no path. */
const NEEDS_OF_PAGES: readonly Need[] = [{ use: 'admin', path: ResourcePath.parse('/') }];

/** Options of {@link Rights}. */
export interface RightsOptions extends NeedsOptions {
  /** Who is who. Default: nobody is asked. */
  access: Access | undefined;
  /** How many tokens an address may try. */
  limits: CredentialLimits;
  /** The application's own decision. Default: it is not asked. */
  authorize: Authorize | undefined;
  /** Appends, some of which wait for their clients. */
  sessions: Pick<SessionRegistry, 'waitOnlyFor'>;
  log: FastifyBaseLogger;
}

/** Decides what requests may do: by their heads, before anything is looked at for them. */
export class Rights {
  readonly #options: RightsOptions;
  readonly #admissions: Admissions | undefined;
  readonly #unsubscribe: (() => void) | undefined;

  constructor(options: RightsOptions) {
    const { access, sessions, log } = options;
    this.#options = options;
    const report = (err: unknown) => log.error({ err }, 'it is not known whether a request may go on');
    this.#admissions = access && new Admissions(access, report);
    if (access === undefined) return;
    const judge = () => sessions.waitOnlyFor((name, path) => access.mayStill(name, 'append', path));
    judge();
    this.#unsubscribe = access.onChange(judge);
  }

  /**
   * Lets a request in, or not; from then on it is known who has sent it.
   *
   * @returns undefined when it was let in at once
   * @throws {UnauthorizedError} when it brings a credential that does not count, or none and needs one
   * @throws {ForbiddenRightError} when it does not have a right that it needs
   * @throws {InvalidRequestError} {@link InvalidPathError} {@link ForbiddenPathError} when it is malformed
   */
  check(request: FastifyRequest, reply: FastifyReply): Promise<void> | undefined {
    const { method } = request;
    admit(request, UNDECIDED);
    if (method === 'OPTIONS' || !METHODS.includes(method)) return undefined;
    const { access, authorize } = this.#options;
    const token = access && takeToken(request.raw);
    const { right } = request.routeOptions.config;
    const isPage = (request.params as { '*'?: string })['*'] === undefined;
    // The health of the server is everybody's.
    if (isPage && right === undefined) return undefined;
    const subject: Subject = access === undefined ? ANYBODY : this.#subjectOf(request, access, token);
    const needs = isPage ? NEEDS_OF_PAGES : this.#needsOf(request);
    const authorizer = authorize && authorizerOf(request, authorize);
    const admission = new Admission(subject, () => cut(request, reply), authorizer);
    this.#watch(request, reply, admission);
    if (authorizer !== undefined)
      return askFor(needs, admission).then(() => letIn(request, admission, needs));
    letIn(request, admission, needs);
    return undefined;
  }

  /**
   * What counts is let in whatever else its address has brought: it may be that of very many.
   *
   * @throws {TooManyRequestsError} when its address has brought too many tokens that do not count, and brings another
   */
  #subjectOf(request: FastifyRequest, access: Access, token: string | undefined): Subject {
    try {
      return access.subjectOf(token);
    } catch (error) {
      if (token !== undefined && error instanceof UnauthorizedError) this.#options.limits.failed(request);
      throw error;
    }
  }

  /** Ends nothing any more. */
  close(): void {
    this.#admissions?.close();
    this.#unsubscribe?.();
  }

  #needsOf(request: FastifyRequest): readonly Need[] {
    return needsOf(request, resourceOf(request, this.#options.isElsewhere), this.#options);
  }

  /** From before anything is decided: the rules may change meanwhile. */
  #watch(request: FastifyRequest, reply: FastifyReply, admission: Admission): void {
    if (this.#admissions === undefined) return;
    const admissions = this.#admissions;
    const over = () => admissions.delete(admission);
    admissions.add(admission);
    reply.raw.on('close', over);
    // After an upgrade there is no response any more, and no other request.
    if (request.ws) request.raw.socket.on('close', over);
  }
}

/** @throws what {@link refusalOf} makes */
function letIn(request: FastifyRequest, admission: Admission, needs: readonly Need[]): void {
  for (const need of needs) {
    if (!isMet(need, admission)) throw refusalOf(admission, need.use);
  }
  admit(request, admission);
}

function isMet({ use, path, or }: Need, admission: Admission): boolean {
  return Permit.of(admission, use, path) !== undefined || (or !== undefined && isMet(or, admission));
}

/** Asks for all that may be needed: which of these it will be is not known yet. */
async function askFor(needs: readonly Need[], admission: Admission): Promise<void> {
  for (const need of needs) {
    for (let next: Need | undefined = need; next !== undefined; next = next.or) {
      await admission.ask(next.use, next.path);
    }
  }
}

function authorizerOf(request: FastifyRequest, authorize: Authorize): Authorizer {
  return {
    ask: async (right: Right, path: ResourcePath) => {
      try {
        return (await authorize(request, { path: path.toString(), right })) === true;
      } catch (error) {
        // Nothing that is thrown is no reason, and Fastify would take it for success.
        if (error) throw error;
        return false;
      }
    },
  };
}

/** Ends a request that has no other way of being told: what was cut looks cut. */
function cut({ raw: { socket } }: FastifyRequest, { raw }: FastifyReply): void {
  if (!raw.writableFinished) socket.destroy();
}
