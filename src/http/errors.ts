import { HttpfstreamError } from '../wire/errors.ts';

export { ConnectionError, HttpfstreamError, InvalidSourceError, InvalidUrlError } from '../wire/errors.ts';

/** The other side was silent for longer than the request allows. */
export class TimeoutError extends HttpfstreamError {
  readonly code = 'HFS_TIMEOUT';
}

/** What was read is longer than its reader accepts. */
export class TooLargeError extends HttpfstreamError {
  readonly code = 'HFS_TOO_LARGE';
  /** The limit, in bytes. */
  readonly maxBytes: number;

  constructor(message: string, maxBytes: number) {
    super(message);
    this.maxBytes = maxBytes;
  }
}

/** A redirect that cannot be followed. */
export class RedirectError extends HttpfstreamError {
  readonly code = 'HFS_REDIRECT';
  /** The status of the redirect. */
  readonly status: number;
  /** Its `Location`, as it was sent. */
  readonly location: string;

  constructor(message: string, status: number, location: string) {
    super(message);
    this.status = status;
    this.location = location;
  }
}

/** A body, or a part of one, has another length than was declared for it. */
export class BodyLengthError extends HttpfstreamError {
  readonly code = 'HFS_BODY_LENGTH';
}

/** The members of a problem document (RFC 9457); extensions are there, too. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  instance?: string;
  [extension: string]: unknown;
}

/** The answer has a status other than 2xx. */
export class StatusError extends HttpfstreamError {
  readonly code = 'HFS_STATUS';
  /** The status of the answer. */
  readonly status: number;
  /** What the answer says, if it is a problem document. */
  readonly problem: Problem | undefined;
  /** The beginning of the answer's body, as text. */
  readonly text: string;

  constructor(message: string, status: number, text: string, problem?: Problem) {
    super(message);
    this.status = status;
    this.text = text;
    this.problem = problem;
  }
}
