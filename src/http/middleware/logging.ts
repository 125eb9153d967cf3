import { tapped } from '../answer/tap.ts';
import { isBytes, lengthOf } from '../body/body.ts';
import { BodyStream } from '../body/body-stream.ts';
import type { FetchInit, Middleware } from '../fetch.ts';

/** What is written to; a logger of pino is one. */
export interface Logger {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

/**
 * Logs each request when its answer's body has ended: `method`, `url`, `status`, `sentBytes`, `receivedBytes`,
 * `durationMs`, and `err` if it has failed. No query, no credentials, no headers.
 */
export function logging(logger: Logger): Middleware {
  return (next) => async (url, init) => {
    const begun = performance.now();
    const request = { method: init.method, url: `${url.origin}${url.pathname}` };
    let receivedBytes = 0;
    const detailsOf = (more: object) => ({
      ...request,
      ...more,
      sentBytes: sentBytesOf(init),
      receivedBytes,
      durationMs: Math.round(performance.now() - begun),
    });
    const line = `${request.method} ${request.url}`;
    let response: Response;
    try {
      response = await next(url, init);
    } catch (err) {
      logger.error(detailsOf({ err }), `${line} failed`);
      throw err;
    }
    const { status } = response;
    return tapped(response, {
      read: (bytes) => {
        receivedBytes += bytes;
      },
      end: (how, err) => {
        if (how === 'broken') logger.error(detailsOf({ status, err }), `${line} ${status} broke off`);
        else
          logger.info(detailsOf({ status }), `${line} ${status}${how === 'cancelled' ? ' cancelled' : ''}`);
      },
    });
  };
}

/** What other middleware has put there is not counted. */
function sentBytesOf({ body }: FetchInit): number {
  if (body instanceof BodyStream) return body.sentBytes;
  return isBytes(body) ? (lengthOf(body) ?? 0) : 0;
}
