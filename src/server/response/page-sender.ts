import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ResourcePath } from '../../wire/resource-path.ts';

/** What the page of a file is chosen by. */
export interface FileLook {
  name: string;
  contentType: string;
  /** Its first bytes, as many as types are told from; empty if there are none yet. */
  head: Buffer;
  /** Whether it is a stream of JSON values. */
  isJsonStream: boolean;
}

/** Answers with the pages in which people see resources. */
export interface PageSender {
  /**
   * Answers with the page of a file.
   *
   * @returns false when there is none, since a browser shows such a file by itself
   */
  sendFile(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    look: FileLook,
  ): Promise<boolean>;
  /**
   * Answers with the page of a directory.
   *
   * @returns false when there is none
   */
  sendDirectory(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean>;
}
