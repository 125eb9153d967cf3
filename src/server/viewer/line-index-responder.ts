import { endianness } from 'node:os';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import { LINE_BLOCK_BYTES } from '../../core/lines/line-counter.ts';
import { LineIndexes } from '../../core/lines/line-indexes.ts';
import { IndexHeader, IndexQueryName } from '../../wire/page-requests.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { admissionOf } from '../rights/admission.ts';
import { wholeNumberOf } from './view-parameters.ts';

/** How long is counted until there is an answer, in milliseconds. */
const COUNT_MS = 200;

/** Most blocks of an answer: 256 KiB of numbers, of 16 GiB of a file. */
const MAX_BLOCKS = 64 * 1024;

/** Answers with how many line feeds each block of a file has. */
export class LineIndexResponder {
  readonly #core: Core;
  readonly #indexes = new LineIndexes();

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * Answers with what is known after {@link COUNT_MS}, from the block on that the query names.
   *
   * @throws {InvalidRequestError} when that is malformed
   * @throws what {@link Resources.open} throws
   */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    const first = wholeNumberOf(request, IndexQueryName.block) ?? 0;
    const { resources } = this.#core;
    const file = await resources.open(admissionOf(request).require('follow', path));
    try {
      const size = await resources.committed(file);
      const index = await this.#indexes.of(file, size, COUNT_MS);
      const counts = index.countsFrom(first).subarray(0, MAX_BLOCKS);
      const position = Math.min(index.position, (first + counts.length) * LINE_BLOCK_BYTES);
      reply.type('application/octet-stream').headers({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        // Other bytes have other numbers.
        [IndexHeader.generation]: `${file.generation}-${index.cuts}`,
        [IndexHeader.blockBytes]: String(LINE_BLOCK_BYTES),
        [IndexHeader.position]: String(position),
        [IndexHeader.size]: String(size),
      });
      return reply.send(littleEndian(counts));
    } finally {
      await file.close();
    }
  }
}

function littleEndian(counts: Uint32Array): Buffer {
  const bytes = Buffer.from(counts.buffer, counts.byteOffset, counts.byteLength);
  return endianness() === 'LE' ? bytes : bytes.swap32();
}
