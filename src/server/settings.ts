import { DEFAULT_MAX_MESSAGE_BYTES } from '../protocol.ts';

/** Options of the Fastify plugin, beside Fastify's own `prefix`. */
export interface HttpfstreamOptions {
  /** Directory that holds the resources; made if it is missing. */
  root: string;
  /**
   * Longest WebSocket message that an appender may send, in bytes; longer ones
   * are refused with close code 1009. Default 104,857,600 (100 MiB).
   */
  maxMessageBytes?: number;
  /** Quiet time after which a follower is pinged, in milliseconds. Default 15,000. */
  keepAliveMs?: number;
  /**
   * How long a closing server waits for its clients before it cuts them, in
   * milliseconds: once for appenders, once for followers. Default 2,000.
   */
  closeTimeoutMs?: number;
}

/** The options with every default filled in. */
export type Settings = Required<HttpfstreamOptions>;

/**
 * Fills in the defaults.
 *
 * @throws {TypeError} for a number that is none, or not positive
 */
export function normaliseOptions(options: HttpfstreamOptions): Settings {
  const settings = {
    root: options.root,
    maxMessageBytes: options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES,
    keepAliveMs: options.keepAliveMs ?? 15_000,
    closeTimeoutMs: options.closeTimeoutMs ?? 2000,
  };
  for (const [name, value] of Object.entries(settings)) {
    if (name !== 'root' && !(Number.isSafeInteger(value) && Number(value) > 0)) {
      throw new TypeError(`the option ${name} must be a positive integer`);
    }
  }
  return settings;
}
