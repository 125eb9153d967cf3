import { copyFile, cp, rename, symlink } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { temporaryDirectory } from './server/server.ts';

const PROJECT = path.join(import.meta.dirname, '../..');

/** A copy of the code that was built, whose modules can be away for a while. */
export class CopiedBuild {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Gone after the test. */
  static async make(): Promise<CopiedBuild> {
    const directory = await temporaryDirectory();
    await cp(path.join(PROJECT, 'build/src'), path.join(directory, 'build/src'), { recursive: true });
    await copyFile(path.join(PROJECT, 'package.json'), path.join(directory, 'package.json'));
    await symlink(path.join(PROJECT, 'node_modules'), path.join(directory, 'node_modules'));
    return new CopiedBuild(directory);
  }

  /** @param name of a module, as in `server/plugin` */
  import<Module>(name: string): Promise<Module> {
    return import(pathToFileURL(this.#fileOf(name)).href);
  }

  /** Runs `action` while a module is not there. */
  async without<T>(name: string, action: () => Promise<T>): Promise<T> {
    const file = this.#fileOf(name);
    await rename(file, `${file}.away`);
    try {
      return await action();
    } finally {
      await rename(`${file}.away`, file);
    }
  }

  #fileOf(name: string): string {
    return path.join(this.#directory, 'build/src', `${name}.js`);
  }
}
