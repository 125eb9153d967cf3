import type { FollowStream } from '../../client/index.ts';
import {
  ResourceGoneError,
  StreamInterruptedError,
  StreamTruncatedError,
  UpstreamError,
} from '../../wire/errors.ts';
import type { EndReason, Outcome } from '../../wire/protocol.ts';

/**
 * How a stream ends that is read by somebody.
 *
 * @throws why it is not known
 */
export function outcomeOf(stream: FollowStream): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    stream.once('end', () => {
      const { closed, moved } = stream.ending;
      resolve({ reason: 'finished', status: stream.status, closed, moved });
    });
    stream.once('error', (error) => {
      const reason = endReasonOf(error, stream.generation !== undefined);
      if (reason === undefined) reject(error);
      else resolve({ reason, moved: stream.ending.moved });
    });
    stream.once('close', () => reject(new UpstreamError('the pull was stopped')));
  });
}

/** What the server there has said of the end; undefined when it has said nothing. */
function endReasonOf(error: Error, wasOpen: boolean): EndReason | undefined {
  if (!wasOpen) return undefined;
  if (error instanceof ResourceGoneError) return 'deleted';
  if (error instanceof StreamTruncatedError) return 'truncated';
  return error instanceof StreamInterruptedError ? 'interrupted' : undefined;
}
