import { FramingError } from '../../wire/errors.ts';
import { CloseCode, type ControlMessage, type EndMessage, isStatus } from '../../wire/protocol.ts';

/** What means something; all else is left for later versions. */
const KNOWN_TYPES: readonly string[] = [
  'open',
  'ack',
  'waiting',
  'live',
  'end',
] satisfies ControlMessage['type'][];

/** Reads what a server says on one connection: nothing after its `end`. */
export class ControlReader {
  #hasEnded = false;

  /** @throws {FramingError} when it is no message, or one that may not come any more */
  read(text: string): ControlMessage {
    const message = parseControl(text);
    if (message === undefined)
      throw new FramingError('the server sent text that is not a control message', CloseCode.protocolError);
    if (KNOWN_TYPES.includes(message.type)) this.assertNotEnded();
    if (message.type === 'end') this.#hasEnded = true;
    return message;
  }

  /** @throws {FramingError} when the server has said that nothing more comes */
  assertNotEnded(): void {
    if (this.#hasEnded) throw new FramingError('the server said more after the end', CloseCode.protocolError);
  }
}

/** Reads a server's message. Undefined when it is none, or one that makes no sense. */
function parseControl(text: string): ControlMessage | undefined {
  let message: ControlMessage;
  try {
    message = JSON.parse(text);
  } catch {
    return undefined;
  }
  switch (message?.type) {
    case 'open':
      return isCount(message.position) && isCount(message.generation) ? message : undefined;
    case 'ack':
      return isCount(message.position) ? message : undefined;
    case 'end':
      return isCount(message.position) ? checked(message) : undefined;
    default:
      return typeof message === 'object' && message !== null ? message : undefined;
  }
}

/** Without a detail that is no text, and facts that are none. */
function checked({ detail, status, next, gap, lost, ...message }: EndMessage): EndMessage {
  return {
    ...message,
    ...(typeof detail === 'string' && { detail }),
    ...(isStatus(status) && { status }),
    ...(isCount(next) && { next: Number(next) }),
    ...(gap === true && { gap }),
    ...(isCount(lost) && { lost: Number(lost) }),
  };
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
