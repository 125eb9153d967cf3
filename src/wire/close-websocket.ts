import type { WebSocket } from 'ws';

/** Longest reason that a close frame has room for, in bytes (RFC 6455, section 5.5). */
const MAX_REASON_BYTES = 123;

/** Closes a WebSocket, with the beginning of a reason that is too long for a close frame: `ws` would throw. */
export function closeWebSocket(websocket: WebSocket, code: number, reason = ''): void {
  websocket.close(code, cutText(reason, MAX_REASON_BYTES));
}

/** The beginning of a text, of so many bytes of UTF-8 at most. No character is cut. */
export function cutText(text: string, maxBytes: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(maxBytes));
  return text.slice(0, read);
}
