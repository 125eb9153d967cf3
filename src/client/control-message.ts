import { type ControlMessage, type EndMessage, isStatus } from '../protocol.ts';

/** Reads a server's message. Undefined when it is none, or one that makes no sense. */
export function parseControl(text: string): ControlMessage | undefined {
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
