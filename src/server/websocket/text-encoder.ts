import { cutCharacterBytes } from '../../core/characters.ts';
import type { Encoder } from '../../core/chunk.ts';
import { messageHeader } from '../../wire/message-encoder.ts';
import { Opcode } from '../../wire/opcode.ts';

/**
 * Makes an encoder of WebSocket text messages, unmasked and unfragmented: one
 * for each part, in which no character is cut where the bytes are UTF-8; the
 * end of all parts aside. It copies nothing: the result alternates between
 * headers and views of the input.
 *
 * @param maxMessageBytes longest payload of one message; longer parts make more messages
 */
export function textEncoder(maxMessageBytes: number): Encoder {
  return (parts) => {
    const encoded: Buffer[] = [];
    /** The beginning of a character, which goes with what comes next. */
    let begun: Buffer[] = [];
    let begunBytes = 0;
    for (const [index, part] of parts.entries()) {
      const isLast = index === parts.length - 1;
      for (let at = 0; at < part.length; ) {
        const rest = part.subarray(at, at + maxMessageBytes - begunBytes);
        const isEnd = isLast && at + rest.length === part.length;
        const cut = isEnd ? 0 : cutCharacterBytes(rest.length < 4 ? Buffer.concat([...begun, rest]) : rest);
        if (cut >= rest.length) {
          begun.push(rest);
          begunBytes += rest.length;
          at += rest.length;
          continue;
        }
        const whole = rest.subarray(0, rest.length - cut);
        encoded.push(messageHeader(Opcode.text, begunBytes + whole.length), ...begun, whole);
        begun = [];
        begunBytes = 0;
        at += whole.length;
      }
    }
    if (begunBytes > 0) encoded.push(messageHeader(Opcode.text, begunBytes), ...begun);
    return encoded;
  };
}
