import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { VERB_HEADER, VERB_QUERY } from '../../wire/protocol.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import type { Connection, ConnectionGroup } from '../connection-group.ts';
import { sendText } from '../failure.ts';
import { allowSilence } from '../keep-alive.ts';
import type { Continues } from '../node/continues.ts';
import { RequestBody } from '../request/request-body.ts';
import { appendRequestOf, assertNoAppendRequest } from '../request/request-query.ts';
import { absoluteUrl } from '../request/request-target.ts';
import { isBelow, parseTarget } from '../request/target.ts';
import { statusOf } from '../response/status-header.ts';
import { closedHeader } from '../response/stream-headers.ts';
import { HttpAppend, type HttpAppendContext } from './append.ts';
import { isMultipart, MultipartAppend } from './multipart-append.ts';

/** What answers appends needs of the server. */
export interface HttpAppendSettings extends Omit<HttpAppendContext, 'log'> {
  connections: ConnectionGroup;
  continues: Continues;
  /** Longest time without a byte of a form, in milliseconds. */
  bodyIdleTimeoutMs: number;
  /** What stands before every resource's path in URLs; empty or `/…`. */
  prefix: string;
}

/** Whether a request, of which nothing but its head is known, is an append below `prefix` that brings a body. */
export function isHttpAppend({ method, url, headers }: IncomingMessage, prefix: string): boolean {
  if ((method !== 'PUT' && method !== 'POST') || !isBelow(prefix, url)) return false;
  const { queryString } = parseTarget(url);
  return (headers[VERB_HEADER] || new URLSearchParams(queryString).get(VERB_QUERY)) === 'APPEND';
}

/** Answers `PUT` and `POST` with verb `APPEND`, when the body has ended. */
export class HttpAppendResponder {
  readonly #settings: HttpAppendSettings;

  constructor(settings: HttpAppendSettings) {
    this.#settings = settings;
  }

  /**
   * Appends the body of a request, or the parts of a form.
   *
   * @throws what {@link HttpAppend} and {@link MultipartAppend} throw
   */
  send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    return isMultipart(request)
      ? this.#sendParts(request, reply, path)
      : this.#sendBody(request, reply, path);
  }

  async #sendBody(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    // A trailing slash asks for a directory, and is dropped.
    const file = ResourcePath.parse(path.key);
    const body = new RequestBody(request);
    const append = new HttpAppend(file, this.#contextOf(request));
    // What makes no sense is refused before anything is taken.
    statusOf(request.raw);
    const wanted = appendRequestOf(request);
    const connection = {
      shutDown: () => append.shutDown(),
      terminate: () => request.raw.socket.destroy(),
    };
    const appended = await this.#during(connection, async () => {
      await append.open(wanted);
      this.#letSend(request, reply);
      return append.append(body, () => statusOf(request.raw));
    });
    if (appended === undefined) return hangUp(request, reply);
    await this.#describe(reply, file);
    if (append.isNew)
      reply.header('location', absoluteUrl(request, this.#settings.prefix + file.toUrlPath()));
    return answer(request, reply.code(append.isNew ? 201 : 200), appended);
  }

  /** Adds what is to be known of the stream. Another program may have taken the file away by now. */
  async #describe(reply: FastifyReply, path: ResourcePath): Promise<void> {
    const { resources } = this.#settings.core;
    try {
      const resource = await resources.acquire(path);
      const { names, state } = resource;
      resources.release(resource);
      reply.headers({ [StreamHeader.nextOffset]: names.nameOf(state.size), ...closedHeader(state) });
    } catch {
      // What was appended was appended.
    }
  }

  async #sendParts(
    request: FastifyRequest,
    reply: FastifyReply,
    directory: ResourcePath,
  ): Promise<FastifyReply> {
    assertNoAppendRequest(request);
    const body = new RequestBody(request, { idleTimeoutMs: this.#settings.bodyIdleTimeoutMs });
    const append = new MultipartAppend(directory, request.headers, this.#contextOf(request));
    const connection = {
      shutDown: () => append.shutDown(),
      terminate: () => request.raw.socket.destroy(),
    };
    const answered = await this.#during(connection, async () => {
      await append.assertDirectory();
      this.#letSend(request, reply);
      return append.append(body);
    });
    if (answered === undefined) return hangUp(request, reply);
    return answer(request, reply.code(answered.status), answered.parts);
  }

  /** Lets the client send its body. */
  #letSend(request: FastifyRequest, reply: FastifyReply): void {
    allowSilence(request.raw.socket);
    this.#settings.continues.release(request.raw, reply.raw);
  }

  /** Whoever closes the server waits for `action`, or cuts the connection: from before anything is held. */
  async #during<T>(connection: Connection, action: () => Promise<T>): Promise<T> {
    const { connections } = this.#settings;
    connections.add(connection);
    try {
      return await action();
    } finally {
      connections.delete(connection);
    }
  }

  #contextOf(request: FastifyRequest): HttpAppendContext {
    return { core: this.#settings.core, log: request.log };
  }
}

function answer(request: FastifyRequest, reply: FastifyReply, document: unknown): FastifyReply {
  reply.type('application/json; charset=utf-8').headers({
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  return sendText(request, reply, `${JSON.stringify(document)}\n`);
}

/** Nobody is there any more who would read an answer, or has come back through another connection. */
function hangUp(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.hijack();
  request.raw.socket.destroy();
  return reply;
}
