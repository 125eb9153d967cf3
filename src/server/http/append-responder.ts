import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { Permit } from '../../core/permit.ts';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { VERB_HEADER, VERB_QUERY } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { ActiveConnections } from '../active-connections.ts';
import { sendText } from '../failure.ts';
import { allowIdle } from '../node/connections/client-socket.ts';
import type { Continues } from '../node/requests/continues.ts';
import { statusOf } from '../request/headers.ts';
import { appendRequestOf, assertNoAppendRequest } from '../request/query-parameters.ts';
import { RequestBody } from '../request/request-body.ts';
import { absoluteUrl } from '../request/request-target.ts';
import { isBelow, parseTarget } from '../request/target.ts';
import { closedHeader } from '../response/headers.ts';
import { admissionOf } from '../rights/admission.ts';
import { isForm } from '../rights/permits.ts';
import { HttpAppend } from './append.ts';
import { MultipartAppend } from './multipart-append.ts';

/** Options of {@link HttpAppendResponder}. */
export interface HttpAppendOptions {
  /** Longest time without a byte of a form, in milliseconds. */
  bodyIdleTimeoutMs: number;
  /** What stands before every resource's path in URLs; empty or `/…`. */
  prefix: string;
}

/** Whether a request is an append below `prefix` that brings a body. Its head is enough to know. */
export function isHttpAppend({ method, url, headers }: IncomingMessage, prefix: string): boolean {
  if ((method !== 'PUT' && method !== 'POST') || !isBelow(prefix, url)) return false;
  const { queryString } = parseTarget(url);
  return (headers[VERB_HEADER] || new URLSearchParams(queryString).get(VERB_QUERY)) === 'APPEND';
}

/** Answers `PUT` and `POST` with verb `APPEND`, when the body has ended. */
export class HttpAppendResponder {
  readonly #core: Core;
  readonly #appends: ActiveConnections;
  readonly #continues: Continues;
  readonly #options: HttpAppendOptions;

  constructor(core: Core, appends: ActiveConnections, continues: Continues, options: HttpAppendOptions) {
    this.#core = core;
    this.#appends = appends;
    this.#continues = continues;
    this.#options = options;
  }

  /**
   * Appends the body of a request, or the parts of a form.
   *
   * @throws what {@link HttpAppend} and {@link MultipartAppend} throw
   */
  send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    return isForm(request) ? this.#sendParts(request, reply, path) : this.#sendBody(request, reply, path);
  }

  async #sendBody(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    // A trailing slash asks for a directory, and is dropped.
    const permit = admissionOf(request).require('append', path);
    const body = new RequestBody(request);
    const append = new HttpAppend(this.#core, permit, request.log, 'body');
    // A malformed one is refused before any bytes are read.
    statusOf(request.raw);
    const wanted = appendRequestOf(request);
    const summary = await this.#during(append, request, async () => {
      await append.open(wanted);
      this.#letSend(request, reply);
      return append.append(body, () => statusOf(request.raw));
    });
    if (summary === undefined) return hangUp(request, reply);
    await this.#describe(reply, permit);
    if (append.isNew) {
      reply.header('location', absoluteUrl(request, this.#options.prefix + permit.path.toUrlPath()));
    }
    return answer(request, reply.code(append.isNew ? 201 : 200), summary);
  }

  /** Adds the headers of the stream. Another program may have taken the file away by now. */
  async #describe(reply: FastifyReply, permit: Permit<'append'>): Promise<void> {
    const { resources } = this.#core;
    try {
      const resource = await resources.acquire(permit);
      const { names, state } = resource;
      resources.release(resource);
      reply.headers({ [StreamHeader.nextOffset]: names.nameOf(state.size), ...closedHeader(state) });
    } catch {
      // The append has succeeded all the same.
    }
  }

  async #sendParts(
    request: FastifyRequest,
    reply: FastifyReply,
    directory: ResourcePath,
  ): Promise<FastifyReply> {
    assertNoAppendRequest(request);
    const body = new RequestBody(request, { idleTimeoutMs: this.#options.bodyIdleTimeoutMs });
    const permit = admissionOf(request).require('form', directory);
    const append = new MultipartAppend(this.#core, permit, directory.trailingSlash, request);
    const answered = await this.#during(append, request, async () => {
      await append.assertDirectory();
      this.#letSend(request, reply);
      return append.append(body);
    });
    if (answered === undefined) return hangUp(request, reply);
    return answer(request, reply.code(answered.status), answered.parts);
  }

  /** Lets the client send its body. */
  #letSend(request: FastifyRequest, reply: FastifyReply): void {
    allowIdle(request.raw.socket);
    this.#continues.send(request.raw, reply.raw);
  }

  /**
   * Counts the connection as active during `action`, from before anything is held: whoever closes the server waits
   * for it, or cuts it.
   */
  async #during<T>(
    append: HttpAppend | MultipartAppend,
    request: FastifyRequest,
    action: () => Promise<T>,
  ): Promise<T> {
    const { socket } = request.raw;
    const restore = admissionOf(request).onWithdrawn((withdrawal) => append.withdraw(withdrawal));
    const connection = { shutDown: () => append.shutDown(), terminate: () => void socket.destroy() };
    this.#appends.add(connection);
    try {
      return await action();
    } finally {
      this.#appends.delete(connection);
      restore();
    }
  }
}

function answer(request: FastifyRequest, reply: FastifyReply, document: unknown): FastifyReply {
  reply.type('application/json; charset=utf-8').headers({
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  return sendText(request, reply, `${JSON.stringify(document)}\n`);
}

/** The client is gone, or has come back through another connection. */
function hangUp(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.hijack();
  request.raw.socket.destroy();
  return reply;
}
