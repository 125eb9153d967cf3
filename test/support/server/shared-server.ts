import type { RestartableServer } from './restartable-server.ts';
import type { UrlSource } from './server.ts';
import { type OwnDirectory, ownDirectory } from './server-for-all.ts';

/**
 * A server for tests that run at once and that each want it stopped and
 * started again: that happens when all of them have asked for it, once for all.
 */
export class SharedServer {
  readonly #server: RestartableServer;
  readonly #guests = new Set<ServerGuest>();
  #asked: Restart[] = [];
  #restarting: Promise<void> | undefined;

  /** @param server runs already */
  constructor(server: RestartableServer) {
    this.#server = server;
  }

  get root(): string {
    return this.#server.root;
  }

  url(urlPath: string): string {
    return this.#server.url(urlPath);
  }

  /** From now on it is not stopped before this guest asks for it, or leaves. */
  async join(): Promise<ServerGuest> {
    while (this.#restarting !== undefined) await this.#restarting;
    const guest = new ServerGuest(this);
    this.#guests.add(guest);
    return guest;
  }

  leave(guest: ServerGuest): void {
    this.#guests.delete(guest);
    this.#asked = this.#asked.filter((restart) => restart.guest !== guest);
    this.#restartIfAllAsked();
  }

  /** Resolves when it was stopped, `meanwhile` was done, and it runs again. */
  restart(guest: ServerGuest, meanwhile: () => Promise<void>): Promise<void> {
    if (!this.#guests.has(guest)) return Promise.reject(new Error('this test has left the server'));
    return new Promise((resolve, reject) => {
      this.#asked.push({ guest, meanwhile, resolve, reject });
      this.#restartIfAllAsked();
    });
  }

  #restartIfAllAsked(): void {
    const isWanted = this.#asked.length > 0 && this.#asked.length === this.#guests.size;
    if (!isWanted || this.#restarting !== undefined) return;
    const asked = this.#asked;
    this.#asked = [];
    this.#restarting = this.#restart(asked).finally(() => {
      this.#restarting = undefined;
      // Some may have asked again, or left, meanwhile.
      this.#restartIfAllAsked();
    });
  }

  /** Never rejects: those who asked are told. */
  async #restart(asked: readonly Restart[]): Promise<void> {
    try {
      await this.#server.stop();
      const done = await Promise.allSettled(asked.map(({ meanwhile }) => meanwhile()));
      await this.#server.start();
      for (const [index, outcome] of done.entries()) {
        if (outcome.status === 'rejected') asked[index]?.reject(outcome.reason);
      }
      // Those that were rejected stay so.
      for (const { resolve } of asked) resolve();
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}

interface Restart {
  guest: ServerGuest;
  meanwhile: () => Promise<void>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** The server as one of the tests sees it: with paths and files below a directory of its own. */
export class ServerGuest implements UrlSource {
  readonly #server: SharedServer;
  readonly #own: OwnDirectory;

  constructor(server: SharedServer) {
    this.#server = server;
    this.#own = ownDirectory(server);
  }

  /** Where its own files are. */
  get root(): string {
    return this.#own.root;
  }

  url(urlPath: string): string {
    return this.#own.url(urlPath);
  }

  /** Resolves when the server runs again, after `meanwhile`, if there is something to be done between. */
  restart(meanwhile: () => Promise<void> = async () => undefined): Promise<void> {
    return this.#server.restart(this, meanwhile);
  }

  leave(): void {
    this.#server.leave(this);
  }
}
