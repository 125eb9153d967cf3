import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { VERB_HEADER } from '../../wire/protocol.ts';
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

const LINE = Symbol('line');

/** A request that is logged when it is over. */
type LoggedRequest = FastifyRequest & { [LINE]?: RequestLine };

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
  const line = new RequestLine(request, reply);
  request[LINE] = line;
  reply.header('x-request-id', request.id);
  const over = () => line.over();
  reply.raw.once('close', over);
  // After an upgrade nothing becomes of the response.
  if ((request.raw as { upgrade?: boolean }).upgrade === true) request.raw.socket.once('close', over);
}

/**
 * Notes why a request is refused.
 *
 * @returns whether that is told when it is over
 */
export function noteRefusal(request: LoggedRequest, code: string, detail: string): boolean {
  const line = request[LINE];
  if (line === undefined) return false;
  line.refusal = { code, detail };
  return true;
}

/** Notes that a request has become a WebSocket: it may live for long, and is not kept for its line. */
export function noteUpgrade(request: LoggedRequest): void {
  request[LINE]?.letGo();
}

/** What the log says of a request. */
class RequestLine {
  /** Why it was refused. */
  refusal: { code?: string; detail?: string } = {};
  readonly #log: FastifyBaseLogger;
  readonly #startedMs = performance.now();
  readonly #socket: Socket;
  /** What the connection had sent before it. */
  readonly #sentBefore: number;
  readonly #asked: object;
  readonly #address: string;
  /** Undefined once it has become a WebSocket. */
  #exchange: { request: FastifyRequest; reply: FastifyReply } | undefined;
  #subject: string | undefined;
  #isOver = false;

  constructor(request: FastifyRequest, reply: FastifyReply) {
    const { raw, ip, log } = request;
    const { method, socket } = raw;
    const verb = VERBS.find((name) => name === raw.headers[VERB_HEADER]);
    this.#log = log;
    this.#socket = socket;
    this.#sentBefore = socket.bytesWritten ?? 0;
    this.#asked = { method, target: shownTarget(raw.url), ...(verb !== undefined && { verb }) };
    this.#address = ip;
    this.#exchange = { request, reply };
  }

  /** Keeps of the request what is to be logged, and nothing else. */
  letGo(): void {
    if (this.#exchange === undefined) return;
    this.#subject = admissionOf(this.#exchange.request).name;
    this.#exchange = undefined;
  }

  /** Logs it. Idempotent. */
  over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const outcome = this.#exchange === undefined ? { status: 101 } : outcomeOf(this.#exchange.reply);
    this.letGo();
    this.#log.info(
      {
        ...this.#asked,
        ...outcome,
        ...this.refusal,
        address: this.#address,
        ...(this.#subject !== undefined && { subject: this.#subject }),
        sent: (this.#socket.bytesWritten ?? 0) - this.#sentBefore,
        durationMs: Math.round(performance.now() - this.#startedMs),
      },
      'request',
    );
  }
}

function outcomeOf({ raw }: FastifyReply): object {
  return {
    ...(raw.headersSent && { status: raw.statusCode }),
    ...(!raw.writableFinished && { isCut: true }),
  };
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
