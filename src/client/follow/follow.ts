import type { EndReason } from '../../wire/protocol.ts';
import { connectorOf } from '../connection/connector.ts';
import type { FollowEnding } from '../session/follow-request.ts';
import { FollowSession } from '../session/follow-session.ts';
import { targetUrl } from '../session/target-url.ts';
import { destroyOnAbort } from '../stream-options.ts';
import type { FollowOptions, FollowStream } from './follow-options.ts';
import { FollowReadable } from './follow-readable.ts';

const HIGH_WATER_MARK_BYTES = 1024 * 1024;

/**
 * Follows a resource: what was written, then what is being written, until its
 * appender ends. An idle resource is read as it is. When the connection breaks,
 * it reconnects and resumes at its position.
 *
 * The result is a Node readable of bytes and an async iterable of Buffers. It
 * emits `open` (a {@link FollowOpening}) when the server has accepted, `waiting`
 * when the appender was lost and may come back, or the resource does not exist
 * yet, `live` when it is back, and `type` when the appender says only after `open` what
 * the content type is. It ends only when the stream `finished`, and errors otherwise: {@link StreamInterruptedError},
 * {@link ResourceGoneError} when the file was deleted or replaced,
 * {@link StreamTruncatedError}, {@link ResourceNotFoundError},
 * {@link RangeNotSatisfiableError}, {@link UnauthorizedError}, {@link ForbiddenRightError},
 * {@link UnexpectedStatusError},
 * {@link ConnectionError} when the first connection fails, {@link ConnectionLostError}
 * when it was lost later and no new one could be made, {@link ProtocolError} when
 * the server violated the protocol, {@link UnsupportedError} when a legacy server
 * cannot do what is requested.
 *
 * @param url http, https, ws or wss URL of the resource
 * @throws {InvalidUrlError}
 * @throws {TypeError} for invalid options
 */
export function follow(url: string | URL, options: FollowOptions = {}): FollowStream {
  return new ResumingFollow(targetUrl(url), options);
}

class ResumingFollow extends FollowReadable implements FollowStream {
  readonly #session: FollowSession;

  constructor(url: URL, options: FollowOptions) {
    super({ highWaterMark: HIGH_WATER_MARK_BYTES });
    const session = new FollowSession(url, options, connectorOf(options), {
      onOpen: (opening) => this.emit('open', opening),
      onWaiting: (isWaiting) => this.emit(isWaiting ? 'waiting' : 'live'),
      onType: (contentType) => this.emit('type', contentType),
      // Those of `ws` are Buffers.
      onBytes: (bytes) => this.receive(bytes as Buffer),
      onLastByte: () => this.flush(),
      onFinish: () => this.finish(),
      onFail: (error) => this.failLate(error),
      onBroken: (error) => this.destroy(error),
    });
    this.#session = session;
    this.readFrom(session);
    destroyOnAbort(this, options.signal);
    if (!this.destroyed) session.connect();
  }

  get position(): number {
    return Math.min(this.#session.start + this.readBytes, this.#session.position);
  }

  get generation(): number | undefined {
    return this.#session.generation;
  }

  get contentType(): string | undefined {
    return this.#session.contentType;
  }

  get reason(): EndReason | undefined {
    return this.#session.reason;
  }

  get status(): number | undefined {
    return this.#session.status;
  }

  get ending(): FollowEnding {
    return this.#session.ending;
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#session.abandon();
    super._destroy(error, callback);
  }
}
