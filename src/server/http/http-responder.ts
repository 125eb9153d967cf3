import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { ActiveConnections } from '../active-connections.ts';
import { Continues } from '../node/requests/continues.ts';
import { isHandshake, verbOf } from '../request/request-target.ts';
import { type HttpAppendOptions, HttpAppendResponder } from './append-responder.ts';
import { HttpFollowResponder } from './follow-responder.ts';

/** Answers APPEND and FOLLOW over plain HTTP, and ranges that grow. */
export class HttpResponder {
  readonly #appends: HttpAppendResponder;
  readonly #follows: HttpFollowResponder;

  constructor(
    core: Core,
    appends: ActiveConnections,
    follows: ActiveConnections,
    { server, log }: FastifyInstance,
    options: HttpAppendOptions,
  ) {
    this.#appends = new HttpAppendResponder(core, appends, Continues.of(server), options);
    this.#follows = new HttpFollowResponder(core, follows, log);
  }

  /**
   * Answers GET with the verb FOLLOW or a range that grows, PUT and POST with the verb APPEND.
   *
   * @returns false for anything else
   * @throws what {@link HttpAppendResponder.send}, {@link HttpFollowResponder.send} and `sendRange` throw
   */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean> {
    const { method } = request;
    const verb = verbOf(request);
    if (method === 'GET' && !isHandshake(request)) {
      if (verb !== 'FOLLOW') return this.#follows.sendRange(request, reply, path);
      await this.#follows.send(request, reply, path);
      return true;
    }
    if (verb !== 'APPEND' || (method !== 'PUT' && method !== 'POST')) return false;
    await this.#appends.send(request, reply, path);
    return true;
  }
}
