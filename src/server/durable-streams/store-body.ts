import type { FastifyRequest } from 'fastify';
import { ByteQueue } from '../../core/byte-queue.ts';
import type { NewFile } from '../../core/streams/streams.ts';
import { RequestBody } from '../request/request-body.ts';

/** Bytes waiting for the disk from which on the client is asked to pause. */
const HIGH_WATER_MARK_BYTES = 2 * 1024 * 1024;

/**
 * Writes the body of a request to a file as it comes.
 *
 * @param options.idleTimeoutMs longest time without a byte, in milliseconds
 * @returns whether it came to its end
 * @throws what is wrong with the body, see {@link RequestBody}, or what the disk says
 */
export function storeBody(
  request: FastifyRequest,
  file: NewFile,
  { idleTimeoutMs }: { idleTimeoutMs: number },
): Promise<boolean> {
  const body = new RequestBody(request, { idleTimeoutMs });
  const waiting = new ByteQueue();
  let writing: Promise<void> | undefined;
  return new Promise((resolve, reject) => {
    const write = async () => {
      try {
        while (waiting.length > 0) {
          await file.write(waiting.take().parts);
          body.resume();
        }
      } catch (error) {
        body.discard();
        reject(error);
      }
      writing = undefined;
    };
    body.read({
      take: (bytes) => {
        waiting.push(bytes);
        if (waiting.length > HIGH_WATER_MARK_BYTES) body.pause();
        writing ??= write();
      },
      ended: async () => {
        await writing;
        resolve(true);
      },
      failed: async (error) => {
        await writing;
        body.discard();
        reject(error);
      },
      cut: async () => {
        await writing;
        resolve(false);
      },
    });
  });
}
