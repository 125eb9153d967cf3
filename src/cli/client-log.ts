import type { Writable } from 'node:stream';
import type { ReconnectEvent, RetryOptions } from '../client/session/session-options.ts';
import { textWithoutCredentials } from '../client/session/target-url.ts';

/** Retries of the client commands: with their waits they take about a quarter of an hour. */
export const RETRY: RetryOptions = { times: 150 };

/** By this attempt the connection has been lost for a few seconds, and that is logged without `-v`, too. */
const LOGGED_ATTEMPT = 5;

/** The messages of a client command, on standard error. The only place where text of servers is shown. */
export class ClientLog {
  readonly #stderr: Writable;
  readonly #isVerbose: boolean;

  constructor(stderr: Writable, isVerbose: boolean) {
    this.#stderr = stderr;
    this.#isVerbose = isVerbose;
  }

  /** Writes a line. URLs in it lose user and password. */
  write(line: string): void {
    this.#stderr.write(`${printable(textWithoutCredentials(line))}\n`);
  }

  /** Writes a line if `-v` is given. */
  verbose(line: string): void {
    if (this.#isVerbose) this.write(line);
  }
}

/** Logs that the connection of a stream was lost, and that it is back. */
export class ReconnectLog {
  readonly #log: ClientLog;
  readonly #prefix: string;
  #isLogged = false;

  /** @param prefix of each line */
  constructor(log: ClientLog, prefix = '') {
    this.#log = log;
    this.#prefix = prefix;
  }

  lost({ attempt, delayMs, error }: ReconnectEvent): void {
    const isForAll = attempt === LOGGED_ATTEMPT;
    if (isForAll) this.#isLogged = true;
    const seconds = (delayMs / 1000).toFixed(1);
    this.#write(
      isForAll,
      `connection lost (${error.message}): trying again in ${seconds} s (attempt ${attempt})`,
    );
  }

  /** Logged to everybody who has read that the connection was lost. */
  reconnected(): void {
    this.#write(this.#isLogged, 'connected again');
    this.#isLogged = false;
  }

  #write(isForAll: boolean, text: string): void {
    const line = `${this.#prefix}${text}`;
    if (isForAll) this.#log.write(line);
    else this.#log.verbose(line);
  }
}

/** Replaces control characters, those of formatting and of lines included, since a terminal would act on them. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
}
