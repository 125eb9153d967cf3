/**
 * One class for each failure, one `code` for each class. Browser-safe.
 *
 * `message` is meant for the person at the other end of the connection: it
 * never contains a path of the server's machine. What an operator needs beyond
 * that is in `cause`.
 */

/** The base of every error that httpfstream makes; `code` is stable, `message` is not. */
export abstract class HttpfstreamError extends Error {
  /** A stable identifier to branch on. */
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The path cannot name a resource: control characters, malformed escapes, too long. */
export class InvalidPathError extends HttpfstreamError {
  readonly code = 'HFS_INVALID_PATH';
}

/** The request is malformed in another way than its path. */
export class InvalidRequestError extends HttpfstreamError {
  readonly code = 'HFS_INVALID_REQUEST';
}

/** The server is not known by the name under which it was asked. */
export class UnknownHostError extends HttpfstreamError {
  readonly code = 'HFS_UNKNOWN_HOST';
}

/** A browser asked on behalf of a page of another origin. */
export class ForeignOriginError extends HttpfstreamError {
  readonly code = 'HFS_FOREIGN_ORIGIN';
}

/** The path may not be written: it is reserved, or leads out of the root. */
export class ForbiddenPathError extends HttpfstreamError {
  readonly code = 'HFS_FORBIDDEN_PATH';
}

/** A file stands where a directory is needed, or the other way round. */
export class PathConflictError extends HttpfstreamError {
  readonly code = 'HFS_PATH_CONFLICT';
}

/** Nothing is stored at the path. */
export class ResourceNotFoundError extends HttpfstreamError {
  readonly code = 'HFS_RESOURCE_NOT_FOUND';
}

/** The resource is not what it was: deleted, or deleted and made anew. */
export class ResourceGoneError extends HttpfstreamError {
  readonly code = 'HFS_RESOURCE_GONE';
}

/** The file has another size than the appender expects. */
export class PositionMismatchError extends HttpfstreamError {
  readonly code = 'HFS_POSITION_MISMATCH';
}

/** The request of an appender is not newer than its last one: it was repeated on the way. */
export class RepeatedRequestError extends HttpfstreamError {
  readonly code = 'HFS_REPEATED_REQUEST';
}

/** Another appender holds the resource. */
export class AppendConflictError extends HttpfstreamError {
  readonly code = 'HFS_APPEND_CONFLICT';
}

/** The request must be a WebSocket handshake. */
export class UpgradeRequiredError extends HttpfstreamError {
  readonly code = 'HFS_UPGRADE_REQUIRED';
}

/** The method is not supported at this URL. */
export class MethodNotAllowedError extends HttpfstreamError {
  readonly code = 'HFS_METHOD_NOT_ALLOWED';
}

/** The resource is not (any more) what the request is meant for. */
export class PreconditionFailedError extends HttpfstreamError {
  readonly code = 'HFS_PRECONDITION_FAILED';
}

/** No byte of the resource is in the ranges that were asked for. */
export class RangeNotSatisfiableError extends HttpfstreamError {
  readonly code = 'HFS_RANGE_NOT_SATISFIABLE';
}

/** The server is shutting down and takes no new work. */
export class ServerClosingError extends HttpfstreamError {
  readonly code = 'HFS_SERVER_CLOSING';
}

/** The stream was closed: nothing can be appended to it any more. */
export class StreamClosedError extends HttpfstreamError {
  readonly code = 'HFS_STREAM_CLOSED';
  /** Its size in bytes; undefined for a client, which is not told. */
  readonly size: number | undefined;

  constructor(message: string, size?: number) {
    super(message);
    this.size = size;
  }
}

/** The stream was deleted, and lives on in its forks only. */
export class StreamGoneError extends HttpfstreamError {
  readonly code = 'HFS_STREAM_GONE';
}

/** Something else is at the path than what was to be made there. */
export class StreamConflictError extends HttpfstreamError {
  readonly code = 'HFS_STREAM_CONFLICT';
}

/** The path holds other content than what was to be stored there. */
export class ContentMismatchError extends HttpfstreamError {
  readonly code = 'HFS_CONTENT_MISMATCH';
}

/** What was to be appended is of another type than the stream. */
export class ContentTypeMismatchError extends HttpfstreamError {
  readonly code = 'HFS_CONTENT_TYPE_MISMATCH';
}

/** The `Stream-Seq` is not above the last one. */
export class SequenceConflictError extends HttpfstreamError {
  readonly code = 'HFS_SEQUENCE_CONFLICT';
}

/** A producer has skipped a request. */
export class ProducerGapError extends HttpfstreamError {
  readonly code = 'HFS_PRODUCER_GAP';
  /** Number of the request that comes next. */
  readonly expected: number;
  /** Number of the request that came. */
  readonly received: number;

  constructor(expected: number, received: number) {
    super(`the producer's next request is number ${expected}, not ${received}`);
    this.expected = expected;
    this.received = received;
  }
}

/** A producer was replaced by a newer one of the same name. */
export class ProducerFencedError extends HttpfstreamError {
  readonly code = 'HFS_PRODUCER_FENCED';
  /** Epoch of the newer one. */
  readonly epoch: number;

  constructor(epoch: number) {
    super(`the producer's epoch is ${epoch} by now`);
    this.epoch = epoch;
  }
}

/** An appender holds the resource for longer; single appends have to wait. */
export class AppendBusyError extends HttpfstreamError {
  readonly code = 'HFS_APPEND_BUSY';
}

/** Another server uses the root. */
export class RootInUseError extends HttpfstreamError {
  readonly code = 'HFS_ROOT_IN_USE';
}

/** The body of a request is longer than what is taken at once. */
export class PayloadTooLargeError extends HttpfstreamError {
  readonly code = 'HFS_PAYLOAD_TOO_LARGE';
}

/** Nothing more came of the body of a request for too long. */
export class BodyTimeoutError extends HttpfstreamError {
  readonly code = 'HFS_BODY_TIMEOUT';
}

/** The body of a request has an encoding that is not known here. */
export class UnsupportedEncodingError extends HttpfstreamError {
  readonly code = 'HFS_UNSUPPORTED_ENCODING';
}

/** The body of a request is framed in a way that is not known here. */
export class UnsupportedTransferError extends HttpfstreamError {
  readonly code = 'HFS_UNSUPPORTED_TRANSFER';
}

/** Where the body of a request ends cannot be told. */
export class LengthRequiredError extends HttpfstreamError {
  readonly code = 'HFS_LENGTH_REQUIRED';
}

/** The client expects what the server does not do (`Expect`). */
export class ExpectationFailedError extends HttpfstreamError {
  readonly code = 'HFS_EXPECTATION_FAILED';
}

/** The request has more headers than the server takes. */
export class HeadTooLargeError extends HttpfstreamError {
  readonly code = 'HFS_HEAD_TOO_LARGE';
}

/** The disk is full or the quota is used up. */
export class StorageFullError extends HttpfstreamError {
  readonly code = 'HFS_STORAGE_FULL';
}

/** The server has run out of file descriptors for the moment. */
export class StorageBusyError extends HttpfstreamError {
  readonly code = 'HFS_STORAGE_BUSY';
}

/** The file system refused for a reason that is the operator's business; see `cause`. */
export class StorageError extends HttpfstreamError {
  readonly code = 'HFS_STORAGE_ERROR';
}

/** What was asked for could not be made safe, nor taken back for sure: it may be there, now or after a restart. */
export class OutcomeUnknownError extends HttpfstreamError {
  readonly code = 'HFS_OUTCOME_UNKNOWN';
}

/** The storage root cannot be used; see `cause`. */
export class InvalidRootError extends HttpfstreamError {
  readonly code = 'HFS_INVALID_ROOT';
}

/** A peer broke the WebSocket framing rules (RFC 6455); `closeCode` is what to answer. */
export class FramingError extends HttpfstreamError {
  readonly code = 'HFS_FRAMING_ERROR';
  /** 1002 for a protocol error, 1009 for a message over the limit. */
  readonly closeCode: number;

  constructor(message: string, closeCode: number) {
    super(message);
    this.closeCode = closeCode;
  }
}

/** The server broke the rules of the protocol; see `cause`, if there is one. What was read or acknowledged until then is good. */
export class ProtocolError extends HttpfstreamError {
  readonly code = 'HFS_PROTOCOL_ERROR';
}

/** What was to be appended is neither bytes nor text, nor anything that yields them. */
export class InvalidSourceError extends HttpfstreamError {
  readonly code = 'HFS_INVALID_SOURCE';
}

/** The URL is not an http, https, ws or wss URL. */
export class InvalidUrlError extends HttpfstreamError {
  readonly code = 'HFS_INVALID_URL';
}

/** The server answered with a status that the client does not expect. */
export class UnexpectedStatusError extends HttpfstreamError {
  readonly code = 'HFS_UNEXPECTED_STATUS';
  /** The HTTP status of the answer. */
  readonly status: number;
  /** How long the server wants to be left alone (`Retry-After`), in milliseconds, at most an hour; undefined when it does not say. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, message = `HTTP status ${status}`, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The server could not be reached, or the handshake broke; see `cause`. */
export class ConnectionError extends HttpfstreamError {
  readonly code = 'HFS_CONNECTION';
}

/** The connection of one's own was lost, and no new one could be made; what was read or acknowledged until then is good. */
export class ConnectionLostError extends HttpfstreamError {
  readonly code = 'HFS_CONNECTION_LOST';
}

/** The stream broke before its end, for everybody; what was read or acknowledged until then is good. */
export class StreamInterruptedError extends HttpfstreamError {
  readonly code = 'HFS_STREAM_INTERRUPTED';
  /** The WebSocket close code with which a legacy server ended the stream; 1006 when it was not told by one. */
  readonly closeCode: number;

  constructor(message: string, closeCode: number, options?: ErrorOptions) {
    super(message, options);
    this.closeCode = closeCode;
  }
}

/** The file became shorter than what was already read of it. */
export class StreamTruncatedError extends HttpfstreamError {
  readonly code = 'HFS_STREAM_TRUNCATED';
}

/** The server is one of the original's kind and cannot do what was asked for. */
export class UnsupportedError extends HttpfstreamError {
  readonly code = 'HFS_UNSUPPORTED';
}
