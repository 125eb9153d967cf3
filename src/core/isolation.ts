import { type HttpfstreamError, StorageError, StorageFullError } from '../wire/errors.ts';

/** What appends to a stream in quarantine get, and readers of one whose file may lack what was acknowledged. */
export function isolationOf(cause?: HttpfstreamError): HttpfstreamError {
  if (cause instanceof StorageFullError) {
    const message = 'the disk was full when the server started: restart it when there is room';
    return new StorageFullError(message, { cause });
  }
  const message = 'the stream cannot be brought up to date: the log of the server says why';
  return new StorageError(message, { cause });
}
