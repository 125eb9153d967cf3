/**
 * One class for each failure, one `code` for each class. Browser-safe.
 *
 * `message` is shown to the user at the other end of the connection: it never
 * contains a path of the server's machine. Details for the operator are in `cause`.
 */

/** The base class of all errors of httpfstream; `code` is stable, `message` is not. */
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

/** The request is malformed, other than its path. */
export class InvalidRequestError extends HttpfstreamError {
  readonly code = 'HFS_INVALID_REQUEST';
}

/** The host that was requested is not one of the server's names. */
export class UnknownHostError extends HttpfstreamError {
  readonly code = 'HFS_UNKNOWN_HOST';
}

/** A browser sent the request for a page of another origin. */
export class ForeignOriginError extends HttpfstreamError {
  readonly code = 'HFS_FOREIGN_ORIGIN';
}

/** What is asked for needs a credential, and there is none, or one that does not count (any more). */
export class UnauthorizedError extends HttpfstreamError {
  readonly code = 'HFS_UNAUTHORIZED';
}

/** The credential does not give the right to what is asked for. */
export class ForbiddenRightError extends HttpfstreamError {
  readonly code = 'HFS_FORBIDDEN_RIGHT';
}

/** The path must not be written: it is reserved, or leads out of the root. */
export class ForbiddenPathError extends HttpfstreamError {
  readonly code = 'HFS_FORBIDDEN_PATH';
}

/** There is a file where a directory is needed, or the other way round. */
export class PathConflictError extends HttpfstreamError {
  readonly code = 'HFS_PATH_CONFLICT';
}

/** Nothing is stored at the path. */
export class ResourceNotFoundError extends HttpfstreamError {
  readonly code = 'HFS_RESOURCE_NOT_FOUND';
}

/** The resource was deleted, or replaced. */
export class ResourceGoneError extends HttpfstreamError {
  readonly code = 'HFS_RESOURCE_GONE';
}

/** The file has another size than the appender expects. */
export class PositionMismatchError extends HttpfstreamError {
  readonly code = 'HFS_POSITION_MISMATCH';
}

/** An appender's request is not newer than its last one: a proxy has repeated it. */
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

/** The resource is not in the state that the request requires. */
export class PreconditionFailedError extends HttpfstreamError {
  readonly code = 'HFS_PRECONDITION_FAILED';
}

/** No byte of the resource is in the requested ranges. */
export class RangeNotSatisfiableError extends HttpfstreamError {
  readonly code = 'HFS_RANGE_NOT_SATISFIABLE';
}

/** The server is shutting down and accepts no new requests. */
export class ServerClosingError extends HttpfstreamError {
  readonly code = 'HFS_SERVER_CLOSING';
}

/** The stream is closed: nothing can be appended to it. */
export class StreamClosedError extends HttpfstreamError {
  readonly code = 'HFS_STREAM_CLOSED';
  /** Its size in bytes; undefined in a client, which does not get it. */
  readonly size: number | undefined;

  constructor(message: string, size?: number) {
    super(message);
    this.size = size;
  }
}

/** The stream was deleted, but its forks still exist. */
export class StreamGoneError extends HttpfstreamError {
  readonly code = 'HFS_STREAM_GONE';
}

/** The path has a different stream, or file, than the one that was to be created. */
export class StreamConflictError extends HttpfstreamError {
  readonly code = 'HFS_STREAM_CONFLICT';
}

/** The path has other content than what was to be stored. */
export class ContentMismatchError extends HttpfstreamError {
  readonly code = 'HFS_CONTENT_MISMATCH';
}

/** The bytes to be appended have another content type than the stream. */
export class ContentTypeMismatchError extends HttpfstreamError {
  readonly code = 'HFS_CONTENT_TYPE_MISMATCH';
}

/** The `Stream-Seq` is not greater than the last one. */
export class SequenceConflictError extends HttpfstreamError {
  readonly code = 'HFS_SEQUENCE_CONFLICT';
}

/** A producer has skipped a request. */
export class ProducerGapError extends HttpfstreamError {
  readonly code = 'HFS_PRODUCER_GAP';
  /** Number of the next request. */
  readonly expected: number;
  /** Number of the request that was received. */
  readonly received: number;

  constructor(expected: number, received: number) {
    super(`the producer's next request is number ${expected}, not ${received}`);
    this.expected = expected;
    this.received = received;
  }
}

/** A producer was fenced by a newer one with the same ID. */
export class ProducerFencedError extends HttpfstreamError {
  readonly code = 'HFS_PRODUCER_FENCED';
  /** Epoch of the newer one. */
  readonly epoch: number;

  constructor(epoch: number) {
    super(`the producer's epoch is ${epoch} by now`);
    this.epoch = epoch;
  }
}

/** An appender has held the resource for too long for a single append to wait. */
export class AppendBusyError extends HttpfstreamError {
  readonly code = 'HFS_APPEND_BUSY';
}

/** Another server uses the root. */
export class RootInUseError extends HttpfstreamError {
  readonly code = 'HFS_ROOT_IN_USE';
}

/** The body of a request is longer than the server accepts. */
export class PayloadTooLargeError extends HttpfstreamError {
  readonly code = 'HFS_PAYLOAD_TOO_LARGE';
}

/** The body of a request has stalled for too long. */
export class BodyTimeoutError extends HttpfstreamError {
  readonly code = 'HFS_BODY_TIMEOUT';
}

/** The body of a request has an unknown encoding. */
export class UnsupportedEncodingError extends HttpfstreamError {
  readonly code = 'HFS_UNSUPPORTED_ENCODING';
}

/** The body of a request has an unknown transfer encoding. */
export class UnsupportedTransferError extends HttpfstreamError {
  readonly code = 'HFS_UNSUPPORTED_TRANSFER';
}

/** The request does not say where its body ends. */
export class LengthRequiredError extends HttpfstreamError {
  readonly code = 'HFS_LENGTH_REQUIRED';
}

/** The server does not support what the request expects (`Expect`). */
export class ExpectationFailedError extends HttpfstreamError {
  readonly code = 'HFS_EXPECTATION_FAILED';
}

/** The request has more headers than the server accepts. */
export class HeadTooLargeError extends HttpfstreamError {
  readonly code = 'HFS_HEAD_TOO_LARGE';
}

/** The disk is full, or nearly, or a quota of the system is used up. */
export class StorageFullError extends HttpfstreamError {
  readonly code = 'HFS_STORAGE_FULL';
}

/** What was to be stored is more than the server lets paths like this one have together. */
export class QuotaExceededError extends HttpfstreamError {
  readonly code = 'HFS_QUOTA_EXCEEDED';
}

/** The resource would become longer than the server lets one be. */
export class ResourceTooLargeError extends HttpfstreamError {
  readonly code = 'HFS_RESOURCE_TOO_LARGE';
}

/** The server has as much of something to do at the same time as it takes on. */
export class ServerBusyError extends HttpfstreamError {
  readonly code = 'HFS_SERVER_BUSY';
  /** What there is too much of. */
  readonly limit: 'live' | 'followers' | 'searches';

  constructor(message: string, limit: ServerBusyError['limit']) {
    super(message);
    this.limit = limit;
  }
}

/** The client asks too often, or for too much at the same time. */
export class TooManyRequestsError extends HttpfstreamError {
  readonly code = 'HFS_TOO_MANY_REQUESTS';
  /** What there is too much of. */
  readonly limit: 'rate' | 'waiting' | 'credentials' | 'connections_per_address' | 'searches';

  constructor(message: string, limit: TooManyRequestsError['limit']) {
    super(message);
    this.limit = limit;
  }
}

/** The server has no file descriptors left at the moment, or does not know yet what it has to know. */
export class StorageBusyError extends HttpfstreamError {
  readonly code = 'HFS_STORAGE_BUSY';
}

/** The file system failed for a reason that concerns the operator; see `cause`. */
export class StorageError extends HttpfstreamError {
  readonly code = 'HFS_STORAGE_ERROR';
}

/** The change could neither be made durable nor be undone for sure: it may be there, now or after a restart. */
export class OutcomeUnknownError extends HttpfstreamError {
  readonly code = 'HFS_OUTCOME_UNKNOWN';
}

/** The storage root cannot be used; see `cause`. */
export class InvalidRootError extends HttpfstreamError {
  readonly code = 'HFS_INVALID_ROOT';
}

/** The file that says who may do what is malformed, or others may read it. */
export class InvalidAuthFileError extends HttpfstreamError {
  readonly code = 'HFS_INVALID_AUTH_FILE';
}

/** Somebody else is editing the file that says who may do what. */
export class AuthFileBusyError extends HttpfstreamError {
  readonly code = 'HFS_AUTH_FILE_BUSY';
}

/** A peer violated the WebSocket framing rules (RFC 6455); `closeCode` is the answer to that. */
export class FramingError extends HttpfstreamError {
  readonly code = 'HFS_FRAMING_ERROR';
  /** 1002 for a protocol error, 1009 for a message over the limit. */
  readonly closeCode: number;

  constructor(message: string, closeCode: number) {
    super(message);
    this.closeCode = closeCode;
  }
}

/** The server violated the protocol; see `cause`, if there is one. What was read or acknowledged before is valid. */
export class ProtocolError extends HttpfstreamError {
  readonly code = 'HFS_PROTOCOL_ERROR';
}

/** The source of an append is neither bytes nor text, nor anything that yields them. */
export class InvalidSourceError extends HttpfstreamError {
  readonly code = 'HFS_INVALID_SOURCE';
}

/** Only the end of its connection says that an answer is over, so that nobody can know whether it is whole. */
export class UnframedAnswerError extends HttpfstreamError {
  readonly code = 'HFS_UNFRAMED_ANSWER';
}

/** The URL is not an http, https, ws or wss URL. */
export class InvalidUrlError extends HttpfstreamError {
  readonly code = 'HFS_INVALID_URL';
}

/** The server answered with an unexpected status. */
export class UnexpectedStatusError extends HttpfstreamError {
  readonly code = 'HFS_UNEXPECTED_STATUS';
  /** The HTTP status of the answer. */
  readonly status: number;
  /**
   * How long to wait before a retry (`Retry-After`), in milliseconds, at most an hour; undefined when the server does
   * not say.
   */
  readonly retryAfterMs: number | undefined;
  /** What it has said in `application/problem+json`, as far as that is known. */
  readonly problem: { readonly code?: string; readonly detail?: string };

  constructor(
    status: number,
    message = `HTTP status ${status}`,
    retryAfterMs?: number,
    problem: UnexpectedStatusError['problem'] = {},
  ) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.problem = problem;
  }
}

/** The server could not be reached, or the handshake failed; see `cause`. */
export class ConnectionError extends HttpfstreamError {
  readonly code = 'HFS_CONNECTION';
}

/** The client's connection was lost, and no new one could be made; what was read or acknowledged before is valid. */
export class ConnectionLostError extends HttpfstreamError {
  readonly code = 'HFS_CONNECTION_LOST';
}

/** The stream broke before its end, for all clients; what was read or acknowledged before is valid. */
export class StreamInterruptedError extends HttpfstreamError {
  readonly code = 'HFS_STREAM_INTERRUPTED';
  /** The WebSocket close code with which a legacy server ended the stream; 1006 if there was none. */
  readonly closeCode: number;

  constructor(message: string, closeCode: number, options?: ErrorOptions) {
    super(message, options);
    this.closeCode = closeCode;
  }
}

/** The file became shorter than what had been read of it. */
export class StreamTruncatedError extends HttpfstreamError {
  readonly code = 'HFS_STREAM_TRUNCATED';
}

/** The server from which a relay has what it serves cannot be reached, or says what cannot be understood. */
export class UpstreamError extends HttpfstreamError {
  readonly code = 'HFS_UPSTREAM';
}

/** The server from which a relay has what it serves has refused it: this is what it has said. */
export class UpstreamRefusalError extends HttpfstreamError {
  readonly code: string;
  /** The HTTP status of its answer. */
  readonly status: number;

  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.code = code;
  }
}

/** The server from which a relay has what it serves does not answer in time. */
export class UpstreamTimeoutError extends HttpfstreamError {
  readonly code = 'HFS_UPSTREAM_TIMEOUT';
}

/** Only a part of something is here, and the rest is not fetched: nobody seemed to read it, or to know from where. */
export class UnreadError extends HttpfstreamError {
  readonly code = 'HFS_UNREAD';
}

/** A request has come back to a relay through which it has passed. */
export class RelayLoopError extends HttpfstreamError {
  readonly code = 'HFS_RELAY_LOOP';
}

/** The server is a legacy one and does not support the request. */
export class UnsupportedError extends HttpfstreamError {
  readonly code = 'HFS_UNSUPPORTED';
}
