import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { VERB_HEADER } from '../../wire/protocol.ts';
import { ClientSocket } from '../node/client-socket.ts';
import { parseTarget } from '../request/target.ts';
import { admissionOf } from '../rights/admission.ts';

/** Parameters whose values let in whoever knows them. */
const SECRETS = ['share', 'session', 'token', 'access_token'];

/** What a header may say in place of the query. */
const VERBS = ['APPEND', 'FOLLOW'];

/** What takes the place of a secret. */
const HIDDEN = '***';

/** The key of a page's directory. */
const PAGE_KEY = /^\/\.httpfstream\/page\/[^/]+/i;

/** What others may have numbered a request with: short, and nothing that a terminal or a parser of logs minds. */
const SANE_ID = /^[\w.:=@+/-]{1,128}$/;

/** As W3C Trace Context has it. */
const TRACE_PARENT = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;

const REFUSAL = Symbol('refusal');

/** A request that is logged when it is over, and why it was refused. */
type LoggedRequest = FastifyRequest & { [REFUSAL]?: { code?: string; detail?: string } };

/** The number of a request: the one that it has brought, else a new one. */
export function requestIdOf({ headers }: IncomingMessage): string {
  const id = headers['x-request-id'];
  return typeof id === 'string' && SANE_ID.test(id) ? id : randomUUID();
}

/** The logger of a request: each of its lines has the trace that it is part of, if it has brought one. */
export function loggerOf(
  logger: FastifyBaseLogger,
  bindings: Record<string, unknown>,
  options: object,
  { headers }: IncomingMessage,
): FastifyBaseLogger {
  const { traceparent } = headers;
  const isTraced = typeof traceparent === 'string' && TRACE_PARENT.test(traceparent);
  return logger.child(isTraced ? { ...bindings, traceparent } : bindings, options);
}

/** Has a request logged, in one line, when it is over: when it was answered, or its WebSocket has closed. */
export function logWhenOver(request: LoggedRequest, reply: FastifyReply): void {
  const { raw } = request;
  const { socket } = raw;
  const startedMs = performance.now();
  const { bytesWritten = 0 } = socket;
  const { ip: address } = request;
  const target = shownTarget(raw.url);
  const verb = VERBS.find((name) => name === raw.headers[VERB_HEADER]);
  let isOver = false;
  request[REFUSAL] = {};
  reply.header('x-request-id', request.id);
  const log = () => {
    if (isOver) return;
    isOver = true;
    const { isUpgraded } = ClientSocket.of(socket);
    const isAnswered = reply.raw.headersSent;
    const isWhole = isUpgraded || reply.raw.writableFinished;
    const { name: subject } = admissionOf(request);
    request.log.info(
      {
        method: raw.method,
        target,
        ...(verb !== undefined && { verb }),
        ...((isAnswered || isUpgraded) && { status: isUpgraded ? 101 : reply.raw.statusCode }),
        ...request[REFUSAL],
        ...(!isWhole && { isCut: true }),
        address,
        ...(subject !== undefined && { subject }),
        sent: (socket.bytesWritten ?? 0) - bytesWritten,
        durationMs: Math.round(performance.now() - startedMs),
      },
      'request',
    );
  };
  reply.raw.once('close', log);
  // After an upgrade nothing becomes of the response.
  if ((raw as { upgrade?: boolean }).upgrade === true) socket.once('close', log);
}

/**
 * Notes why a request is refused.
 *
 * @returns whether that is told when it is over
 */
export function noteRefusal(request: LoggedRequest, code: string, detail: string): boolean {
  if (request[REFUSAL] === undefined) return false;
  request[REFUSAL] = { code, detail };
  return true;
}

/** The path and the query of a request, as it came, without what lets in whoever knows it. */
export function shownTarget(url: string | undefined): string {
  const { queryString } = parseTarget(url);
  if (queryString === '') return shownPath(url);
  const pairs = queryString.slice(1).split('&').map(withoutSecret);
  return `${shownPath(url)}?${pairs.join('&')}`;
}

/** As {@link shownTarget}, the path alone. */
export function shownPath(url: string | undefined): string {
  return parseTarget(url).path.replace(PAGE_KEY, `/.httpfstream/page/${HIDDEN}`);
}

function withoutSecret(pair: string): string {
  const [name = ''] = pair.split('=', 1);
  if (name === pair) return pair;
  return SECRETS.includes(decoded(name).toLowerCase()) ? `${name}=${HIDDEN}` : pair;
}

/** As whoever reads it will have it. */
function decoded(name: string): string {
  const [[text = ''] = []] = [...new URLSearchParams(`${name}=`)];
  return text.trim();
}
