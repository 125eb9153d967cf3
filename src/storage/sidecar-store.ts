import { createHash, randomBytes } from 'node:crypto';
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
  /** Path of the file below the root, with symlinks resolved; for people. */
  path: string;
  /** Of the file that this was written for; it says nothing of one made anew. */
  generation: number;
  append: AppendRecord;
}

/**
 * Small JSON documents, one for each resource that needs one, each replaced as
 * a whole. They are named by a hash of the resource's path, so that every path
 * has a name that is short enough and none is another's directory.
 */
export class SidecarStore {
  readonly #directory: string;

  /** @param directory absolute; made when the first document is written */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Reads the sidecar of a file.
   *
   * @param location path below the root, with symlinks resolved
   * @returns undefined when there is none, or it is of another generation, or it is no longer readable
   */
  async read(location: string, generation: number): Promise<Sidecar | undefined> {
    let text: string;
    try {
      text = await fs.promises.readFile(this.#fileOf(location), 'utf8');
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return undefined;
      throw storageFailure(error);
    }
    const sidecar = parse(text);
    return sidecar?.generation === generation ? sidecar : undefined;
  }

  /**
   * Replaces the sidecar of the file at `sidecar.path`. After a crash there is the old one or the new one.
   *
   * @param options.durable whether it must survive a loss of power when this resolves
   */
  async write(sidecar: Sidecar, { durable }: { durable: boolean }): Promise<void> {
    const file = this.#fileOf(sidecar.path);
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

  /** Forgets a resource. */
  async remove(location: string): Promise<void> {
    try {
      await fs.promises.rm(this.#fileOf(location), { force: true });
    } catch (error) {
      throw storageFailure(error);
    }
  }

  #fileOf(location: string): string {
    const name = createHash('sha256').update(location).digest('hex');
    return path.join(this.#directory, name.slice(0, 2), `${name.slice(2)}.json`);
  }
}

function parse(text: string): Sidecar | undefined {
  try {
    const sidecar = JSON.parse(text);
    const isOne = Number.isSafeInteger(sidecar?.generation) && Number.isSafeInteger(sidecar?.append?.start);
    return isOne ? sidecar : undefined;
  } catch {
    return undefined;
  }
}
