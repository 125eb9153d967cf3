import { ConnectionError } from '../../wire/errors.ts';

const UNTRUSTED = 'nobody who is trusted here has signed its certificate (NODE_EXTRA_CA_CERTS names more)';

/** Explanations of errors, by their code. */
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

/** What is wrong with an answer that is HTTP, by the error code of Node's parser. */
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

/** First byte of a TLS alert, which is how a TLS server answers anything that is not TLS. */
const TLS_ALERT = 21;

/** An error of Node or ws about an answer, or about what came instead. */
interface AnswerError extends Error {
  code?: string;
  /** The bytes that came, if they were not HTTP. */
  rawPacket?: Uint8Array;
}

/**
 * The error for a connection that could not be made, with an explanation.
 *
 * @param url of the request
 */
export function cannotConnect(error: Error, url: URL): ConnectionError {
  if (error instanceof ConnectionError) return error;
  const { code = '', message } = error as AnswerError;
  const words = wordsFor(error, url);
  // OpenSSL's own messages mean little to users. An error of several addresses that were tried has only a code.
  const detail = code === 'EPROTO' || message === '' ? code : message;
  return new ConnectionError(words === undefined ? detail : `${words}: ${detail}`, { cause: error });
}

/**
 * Why a server cannot be reached, in words without addresses; undefined when nothing tells.
 *
 * @param error what Node says, or the {@link ConnectionError} that was made of it
 * @param url of the request
 */
export function whyUnreachable(error: unknown, url: URL): string | undefined {
  const cause = error instanceof ConnectionError ? error.cause : error;
  const { code } = (cause ?? {}) as AnswerError;
  return code === undefined ? undefined : (wordsFor(cause as AnswerError, url) ?? code);
}

function wordsFor({ code, rawPacket }: AnswerError, { protocol }: URL): string | undefined {
  // Node's errors have a code, those of ws do not.
  if (code === undefined) return 'this is no WebSocket server';
  const isTls = protocol === 'wss:' || protocol === 'https:';
  const doubt = isTls ? '(http:// in place of https://?)' : '(https:// in place of http://?)';
  if (code === 'ECONNRESET') return `the server hung up before its answer ${doubt}`;
  if (code === 'EPROTO') return `the server does not speak TLS at this port ${doubt}`;
  if (rawPacket?.[0] === TLS_ALERT) return `the server speaks TLS at this port ${doubt}`;
  if (code.startsWith('HPE_')) return HEAD_WORDS[code] ?? 'the server does not speak HTTP at this port';
  return WORDS[code];
}
