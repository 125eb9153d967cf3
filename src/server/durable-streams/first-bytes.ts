import type { ReadNumbers } from '../../core/numbers.ts';
import type { Encoder } from '../../core/readers/chunk.ts';
import { anywhere } from '../../core/readers/cutting.ts';
import type { LiveReads } from '../../core/readers/live-reads.ts';
import type { EndReason } from '../../wire/protocol.ts';
import { arrayOfLines } from '../json/json-values.ts';
import type { ClientSocket } from '../node/connections/client-socket.ts';
import { SMALL_BODY_BYTES } from '../response/send-bytes.ts';
import type { Admission } from '../rights/admission.ts';

/** What a long-poll has waited for. */
export interface FirstBytes {
  /** What has come, as it is sent; undefined when nothing has, or more than is sent from memory. */
  body: Buffer | undefined;
  /** Position after what has come. */
  end: number;
  /** Why nothing more will come, if that is so. */
  reason: EndReason | undefined;
}

/** For whom somebody waits, and for how long. */
export interface Wait {
  client: ClientSocket;
  admission: Admission;
  timeoutMs: number;
  /** Where it is counted. */
  numbers: ReadNumbers;
}

/** Whole, unless it is too large. */
const asOne: Encoder = (parts) => {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  return bytes > SMALL_BODY_BYTES ? [] : [Buffer.concat(parts, bytes)];
};
const asArray: Encoder = (parts) => asOne(parts).map(arrayOfLines);

/**
 * Follows a stream until something comes: resolves then, when nothing will come, the time is over or the client has
 * gone; at once when nobody could see that.
 *
 * @param isArray whether JSON values are wanted as an array
 * @throws when the file cannot be read, or the client may not go on
 */
export function firstBytes(
  live: LiveReads,
  position: number,
  isArray: boolean,
  { client, admission, timeoutMs, numbers }: Wait,
): Promise<FirstBytes> {
  return new Promise((resolve, reject) => {
    const settle = (body?: Buffer, reason?: EndReason) => {
      clearTimeout(timer);
      unwatch();
      restore();
      reader.leave();
      resolve({ body, end: reader.position, reason });
    };
    const leave = () => {
      if (!reader.isBehind) settle();
    };
    const reader = live.join(position, {
      numbers,
      cutting: anywhere,
      encode: isArray ? asArray : asOne,
      write: ([body]) => {
        settle(body);
        return false;
      },
      waiting: () => undefined,
      end: ({ reason }) => settle(undefined, reason),
      fail: (error) => {
        reject(error);
        settle();
      },
    });
    const timer = setTimeout(() => settle(), timeoutMs);
    const unwatch = client.onLeave(leave);
    const restore = admission.onWithdrawn(({ error }) => {
      reject(error);
      settle();
    });
    reader.drained();
    if (client.hasLeft || client.isUnread) leave();
  });
}
