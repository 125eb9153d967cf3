import { ConnectionError } from '../../wire/errors.ts';

const UNTRUSTED = 'nobody who is trusted here has signed its certificate (NODE_EXTRA_CA_CERTS names more)';

/** What it means, by the code of the error. */
const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the host cannot be reached',
  ETIMEDOUT: 'the host does not answer',
  ENOTFOUND: 'nobody knows this host',
  EAI_AGAIN: 'the name of the host cannot be looked up at the moment',
  CERT_HAS_EXPIRED: 'its certificate is out of date',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
};

/** What is wrong with an answer that is HTTP, by the code of the parser. */
const HEAD_WORDS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: 'the head of the answer is too large',
  HPE_INVALID_HEADER_TOKEN: 'a header of the answer is malformed',
  HPE_INVALID_CONTENT_LENGTH: 'the answer has a length that is malformed, or different from another',
  HPE_UNEXPECTED_CONTENT_LENGTH: 'the answer has a length twice, or one beside Transfer-Encoding',
  HPE_INVALID_TRANSFER_ENCODING: 'the answer has a Transfer-Encoding that is malformed, or beside a length',
  HPE_INVALID_STATUS: 'the status of the answer is malformed',
  HPE_LF_EXPECTED: 'a line of the answer is malformed',
  HPE_CR_EXPECTED: 'a line of the answer is malformed',
};

/** What a TLS server begins with when it was sent something else: an alert. */
const TLS_ALERT = 21;

/** What Node and ws say of an answer, or of what came in its place. */
interface AnswerError extends Error {
  code?: string;
  /** What came, where that was no HTTP. */
  rawPacket?: Uint8Array;
}

/**
 * The error for a connection that could not be made, in words.
 *
 * @param url what was asked for
 */
export function cannotConnect(error: Error, url: URL): ConnectionError {
  if (error instanceof ConnectionError) return error;
  const { code = '', message } = error as AnswerError;
  const words = wordsFor(error, url);
  // What OpenSSL says is for those who write OpenSSL. Of an address that was tried in several ways there is a code only.
  const detail = code === 'EPROTO' || message === '' ? code : message;
  return new ConnectionError(words === undefined ? detail : `${words}: ${detail}`, { cause: error });
}

function wordsFor({ code, rawPacket }: AnswerError, { protocol }: URL): string | undefined {
  // Those of Node have one.
  if (code === undefined) return 'this is no WebSocket server';
  const isTls = protocol === 'wss:' || protocol === 'https:';
  const doubt = isTls ? '(http:// in place of https://?)' : '(https:// in place of http://?)';
  if (code === 'ECONNRESET') return `the server hung up before its answer ${doubt}`;
  if (code === 'EPROTO') return `the server does not speak TLS at this port ${doubt}`;
  if (rawPacket?.[0] === TLS_ALERT) return `the server speaks TLS at this port ${doubt}`;
  if (code.startsWith('HPE_')) return HEAD_WORDS[code] ?? 'the server does not speak HTTP at this port';
  return WORDS[code];
}
