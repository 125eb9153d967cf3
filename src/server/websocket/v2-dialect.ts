import { anywhere } from '../../core/cutting.ts';
import { messageEncoder } from '../../wire/message-encoder.ts';
import { Opcode } from '../../wire/opcode.ts';
import {
  CloseCode,
  type EndReason,
  MAX_CONTROL_BYTES,
  MAX_DATA_BYTES,
  SUBPROTOCOL,
  statusOfCloseReason,
} from '../../wire/protocol.ts';
import type { Dialect } from './dialect.ts';

const encodeControl = messageEncoder(Opcode.text, MAX_CONTROL_BYTES);

const CLOSE_CODES: Readonly<Record<EndReason, number>> = {
  finished: CloseCode.finished,
  interrupted: CloseCode.interrupted,
  deleted: CloseCode.interrupted,
  truncated: CloseCode.interrupted,
  shutdown: CloseCode.serviceRestart,
};

/** Clients that speak {@link SUBPROTOCOL}. */
export const v2Dialect: Dialect = {
  subprotocol: SUBPROTOCOL,
  encode: messageEncoder(Opcode.binary, MAX_DATA_BYTES),
  cutting: anywhere,
  control: (message) => Buffer.concat(encodeControl([Buffer.from(JSON.stringify(message))])),
  closeCode: (reason) => CLOSE_CODES[reason],
  closingCode: CloseCode.serviceRestart,
  answersPings: true,
  appendsText: false,
  endOfClose: (code, isBetweenMessages) => {
    if (code === CloseCode.finished && isBetweenMessages) return 'finished';
    return code === CloseCode.goingAway ? 'interrupted' : 'lost';
  },
  statusOfClose: statusOfCloseReason,
  endOfConnection: () => 'lost',
};
