import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { makeDirectories, syncDirectories } from './file-io.ts';
import { hasErrno, storageFailure } from './storage-failure.ts';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/** What is remembered of the last append to a resource. */
export interface AppendRecord {
  /** The appender's token, if it sent one. */
  session?: string;
  /** Number of the appender's last request, if it counts them. */
  attempt?: number;
  /** Position at which its session began. */
  start: number;
  /** How it ended, or `open` if it has not: in this process, or in one that was killed. */
  state: 'open' | 'finished' | 'interrupted';
  /** Size of the file at the end. Missing while it is open. */
  end?: number;
  /** Size of the file when it had finished and was opened again, by a repeated handshake for instance. */
  finishedAt?: number;
}

/** What is remembered of a resource beside its bytes. */
export interface Sidecar {
  /** Path of the file below the root when this was written; for people. */
  path: string;
  append: AppendRecord;
}

/** As good as a document that is damaged: something broke. */
const DAMAGED: Sidecar = { path: '', append: { start: 0, state: 'interrupted' } };

/**
 * Small JSON documents, one for each file that needs one, each replaced as a
 * whole. They belong to the file, not to its name: they go with it when it is
 * renamed, and one that takes its name has none.
 */
export class SidecarStore {
  readonly #directory: string;

  /** @param directory absolute; made when the first document is written */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Reads the sidecar of a file. Undefined when there is none. */
  async read(fingerprint: string): Promise<Sidecar | undefined> {
    try {
      return parse(await fs.promises.readFile(this.#fileOf(fingerprint), 'utf8'));
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return undefined;
      throw storageFailure(error);
    }
  }

  /**
   * Replaces the sidecar of a file. After a crash there is the old one or the new one.
   *
   * @param options.durable whether it must survive a loss of power when this resolves
   */
  async write(fingerprint: string, sidecar: Sidecar, { durable }: { durable: boolean }): Promise<void> {
    const file = this.#fileOf(fingerprint);
    const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      await makeDirectories(path.dirname(file), DIRECTORY_MODE);
      const handle = await fs.promises.open(temporary, 'wx', FILE_MODE);
      try {
        await handle.writeFile(`${JSON.stringify(sidecar)}\n`);
        if (durable) await handle.sync();
      } finally {
        await handle.close();
      }
      await fs.promises.rename(temporary, file);
      if (durable) await syncDirectories(path.dirname(file), path.dirname(path.dirname(this.#directory)));
    } catch (error) {
      await fs.promises.rm(temporary, { force: true }).catch(() => undefined);
      throw storageFailure(error);
    }
  }

  /** Forgets a file. */
  async remove(fingerprint: string): Promise<void> {
    try {
      await fs.promises.rm(this.#fileOf(fingerprint), { force: true });
    } catch (error) {
      throw storageFailure(error);
    }
  }

  /** In a hundred directories, so that none is too long. */
  #fileOf(fingerprint: string): string {
    return path.join(this.#directory, fingerprint.slice(-2), `${fingerprint}.json`);
  }
}

function parse(text: string): Sidecar {
  try {
    const sidecar = JSON.parse(text);
    return isAppendRecord(sidecar?.append) ? sidecar : DAMAGED;
  } catch {
    return DAMAGED;
  }
}

function isAppendRecord(value: Partial<AppendRecord> | undefined): boolean {
  const { session = '', attempt = 0, start, state, end = 0, finishedAt = 0 } = value ?? {};
  const areSizes = [attempt, start, end, finishedAt].every(Number.isSafeInteger);
  return (
    areSizes && typeof session === 'string' && ['open', 'finished', 'interrupted'].includes(String(state))
  );
}
