import type { ControlMessage } from '../protocol.ts';

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
      return isCount(message.position) ? { ...message, ...printable(message.detail) } : undefined;
    default:
      return typeof message === 'object' && message !== null ? message : undefined;
  }
}

/** It may be shown on a terminal. */
function printable(detail: unknown): { detail?: string } {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return typeof detail === 'string' ? { detail: detail.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ') } : {};
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
