import { isContentType } from '../../wire/content-type.ts';
import { FramingError } from '../../wire/errors.ts';
import {
  type ActivityMessage,
  CloseCode,
  type ControlMessage,
  type EndMessage,
  isStatus,
  type OpenMessage,
} from '../../wire/protocol.ts';

/** Messages of other types are left to later versions, and ignored. */
const KNOWN_TYPES: readonly string[] = [
  'open',
  'ack',
  'waiting',
  'live',
  'status',
  'type',
  'end',
] satisfies ControlMessage['type'][];

/** Parses a server's control messages on one connection, and checks that none follows its `end`. */
export class ControlReader {
  #hasEnded = false;

  /** @throws {FramingError} when it is not a message, or one that may not follow the end */
  read(text: string): ControlMessage {
    const message = parseControl(text);
    if (message === undefined)
      throw new FramingError('the server sent text that is not a control message', CloseCode.protocolError);
    if (KNOWN_TYPES.includes(message.type)) this.assertNotEnded();
    if (message.type === 'end') this.#hasEnded = true;
    return message;
  }

  /** @throws {FramingError} after the end */
  assertNotEnded(): void {
    if (this.#hasEnded) throw new FramingError('the server said more after the end', CloseCode.protocolError);
  }
}

/** Undefined when it is not a JSON object, or a position in it is missing or malformed. */
function parseControl(text: string): ControlMessage | undefined {
  let message: ControlMessage;
  try {
    message = JSON.parse(text);
  } catch {
    return undefined;
  }
  switch (message?.type) {
    case 'open':
      return isCount(message.position) && isCount(message.generation) ? checkedOpen(message) : undefined;
    case 'ack':
      return isCount(message.position) ? message : undefined;
    case 'end':
      return isCount(message.position) ? checked(message) : undefined;
    case 'status':
      return isCount(message.time) ? checkedActivity(message) : undefined;
    case 'type':
      return isContentType(message.contentType) ? message : undefined;
    default:
      return typeof message === 'object' && message !== null ? message : undefined;
  }
}

/** Drops optional members that are malformed. */
function checkedOpen({ size, contentType, stream, ...message }: OpenMessage): OpenMessage {
  return {
    ...message,
    ...(isCount(size) && { size: Number(size) }),
    ...((contentType === null || isContentType(contentType)) && { contentType }),
    ...(stream === true && { stream }),
  };
}

/** As {@link checkedOpen}. */
function checkedActivity({ position, followers, rate, ...message }: ActivityMessage): ActivityMessage {
  return {
    ...message,
    ...(isCount(position) && { position: Number(position) }),
    ...(isCount(followers) && { followers: Number(followers) }),
    ...(isCount(rate) && { rate: Number(rate) }),
  };
}

/** As {@link checkedOpen}. */
function checked({ detail, status, closed, next, gap, lost, moved, ...message }: EndMessage): EndMessage {
  return {
    ...message,
    ...(typeof detail === 'string' && { detail }),
    ...(isStatus(status) && { status }),
    ...(closed === true && { closed }),
    ...(isCount(next) && { next: Number(next) }),
    ...(gap === true && { gap }),
    ...(isCount(lost) && { lost: Number(lost) }),
    ...(moved === true && { moved }),
  };
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
