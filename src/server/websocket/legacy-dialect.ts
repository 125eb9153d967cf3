import { betweenCharacters } from '../../core/cutting.ts';
import { CloseCode, LEGACY_MESSAGE_BYTES } from '../../wire/protocol.ts';
import type { Dialect } from './dialect.ts';
import { textEncoder } from './text-encoder.ts';

const NOTHING = Buffer.alloc(0);

/** The original's clients, and whoever else did not ask for the subprotocol. */
export const legacyDialect: Dialect = {
  subprotocol: undefined,
  // The original's follower reads nothing but short, unfragmented text messages.
  encode: textEncoder(LEGACY_MESSAGE_BYTES),
  cutting: betweenCharacters,
  control: () => NOTHING,
  // The original's follower takes 1001 for the end, so a shutdown must not be told that way.
  closeCode: (reason) => (reason === 'finished' ? CloseCode.finished : CloseCode.interrupted),
  closingCode: CloseCode.goingAway,
  answersPings: false,
  appendsText: true,
  endOfClose: (code, isBetweenMessages) => {
    const isClean = code === CloseCode.finished || code === CloseCode.none;
    return isClean && isBetweenMessages ? 'finished' : 'interrupted';
  },
  statusOfClose: () => undefined,
  // It is how the original's client ends.
  endOfConnection: (isOrderly) => (isOrderly ? 'finished' : 'interrupted'),
};
