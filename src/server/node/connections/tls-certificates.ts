import { X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import type { ServerOptions } from 'node:https';
import { createSecureContext, type SecureContext, type Server as TlsServer } from 'node:tls';
import type { FastifyBaseLogger } from 'fastify';

/** How often to look again at files that do not fit together: they are being replaced, one after the other … */
const LOOK_AGAIN_MS = 1000;

/** … and how many times. */
const MAX_LOOKS = 60;

const { S_IROTH: READABLE_BY_ALL } = constants;

/** The files of a certificate, with those that vouch for it, and of its key, in PEM. */
export interface CertificateFiles {
  cert: string;
  key: string;
}

/** A certificate and its key, which fit together. */
interface Loaded {
  cert: Buffer;
  key: Buffer;
  context: SecureContext;
  /** Who it is for. */
  subject: X509Certificate;
}

/**
 * The certificates of a server. A client gets the first one that has the name for which it asks, or else the first of
 * all. They can be replaced while the server runs: connections that are open stay as they are.
 */
export class TlsCertificates {
  readonly #files: readonly CertificateFiles[];
  readonly #log: FastifyBaseLogger;
  #loaded: readonly Loaded[];
  #server: TlsServer | undefined;
  /** How many times they did not fit together, in a row. */
  #looks = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The look under way, or the last one: there is one at a time, so that none is overtaken by one that began before. */
  #looking: Promise<void> = Promise.resolve();

  private constructor(files: readonly CertificateFiles[], loaded: readonly Loaded[], log: FastifyBaseLogger) {
    this.#files = files;
    this.#loaded = loaded;
    this.#log = log;
  }

  /**
   * Reads the files of at least one certificate.
   *
   * @throws {Error} when a file cannot be read, or is none, or a key is not that of its certificate; it names the files
   */
  static async load(files: readonly CertificateFiles[], log: FastifyBaseLogger): Promise<TlsCertificates> {
    for (const { key } of files) await warnOfPublic(key, log);
    return new TlsCertificates(files, await Promise.all(files.map(load)), log);
  }

  /** Whether the files fit together as they were read last. */
  get isCurrent(): boolean {
    return this.#looks === 0;
  }

  /** For the server that is to have them. */
  get options(): ServerOptions {
    const [{ cert, key }] = this.#loaded as [Loaded];
    return { cert, key, SNICallback: (name, done) => done(null, this.#contextFor(name)) };
  }

  /** To be called with that server. */
  serve(server: TlsServer): void {
    this.#server = server;
  }

  /**
   * Reads the files again, for connections from now on. As long as they do not fit together what was there stays, and
   * they are looked at again. Never rejects.
   */
  reload(): Promise<void> {
    return this.#look(0);
  }

  /** Looks at nothing any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#server = undefined;
  }

  /** @param looks how many came before it in vain. Default: those that did */
  #look(looks?: number): Promise<void> {
    this.#looking = this.#looking.then(() => {
      this.#looks = looks ?? this.#looks;
      return this.#lookNow();
    });
    return this.#looking;
  }

  async #lookNow(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      const loaded = await Promise.all(this.#files.map(load));
      const [{ cert, key }] = loaded as [Loaded];
      this.#loaded = loaded;
      this.#looks = 0;
      this.#server?.setSecureContext({ cert, key });
      this.#log.info({ expires: loaded.map(({ subject }) => subject.validTo) }, 'certificates were loaded');
    } catch (error) {
      this.#looks++;
      const isLast = this.#looks === MAX_LOOKS;
      if (this.#looks === 1 || isLast) {
        this.#log.error(
          { reason: (error as Error).message },
          `certificates stay as they were: ${isLast ? 'the new ones cannot be used' : 'they are looked at again'}`,
        );
      }
      if (!isLast && this.#server !== undefined) {
        this.#timer = setTimeout(() => void this.#look(), LOOK_AGAIN_MS).unref();
      }
    }
  }

  #contextFor(name: string): SecureContext | undefined {
    return this.#loaded.find(({ subject }) => subject.checkHost(name) !== undefined)?.context;
  }
}

/** Not refused: in a container everybody may be nobody else. */
async function warnOfPublic(key: string, log: FastifyBaseLogger): Promise<void> {
  const { mode } = await stat(key).catch(() => ({ mode: 0 }));
  if ((mode & READABLE_BY_ALL) !== 0) {
    log.warn({ key }, 'the key of a certificate can be read by everybody: chmod o-r');
  }
}

async function load(files: CertificateFiles): Promise<Loaded> {
  const [cert, key] = await Promise.all([readFile(files.cert), readFile(files.key)]);
  try {
    return { cert, key, context: createSecureContext({ cert, key }), subject: new X509Certificate(cert) };
  } catch (cause) {
    throw new Error(`${files.cert} and ${files.key} are no certificate and its key: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

/** What OpenSSL says, without its numbers. */
function reasonOf(error: unknown): string {
  const { message, reason = message } = error as Error & { reason?: string };
  return reason;
}
