import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import type { PageAssets, PageKind } from '../../wire/page.ts';

/** Where the build puts them: see scripts/build-page.mjs. */
const DIRECTORY = new URL('dist/page/', import.meta.resolve('httpfstream/package.json'));

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
};

/** What a page of one kind is made of. */
export interface PageParts extends PageAssets {
  /** What its script loads at once. */
  imports: string[];
}

/** What the build says of what it has made. */
interface Manifest {
  kinds: Partial<Record<PageKind, PageParts>>;
  files: string[];
}

/** A script or a style. */
export interface PageFile {
  contentType: string;
  bytes: Buffer;
  gzipped: Buffer;
}

/** The scripts and styles of pages, by names that carry a hash of what is in them. Each is read when it is first asked for. */
export class PageFiles {
  /** By kind of page, the names of what it is made of. */
  readonly kinds: Manifest['kinds'];
  readonly #names: ReadonlySet<string>;
  readonly #files = new Map<string, Promise<PageFile>>();

  private constructor({ kinds, files }: Manifest) {
    this.kinds = kinds;
    this.#names = new Set(files);
  }

  /** Reads which there are. */
  static async open(): Promise<PageFiles> {
    return new PageFiles(JSON.parse(await readFile(new URL('manifest.json', DIRECTORY), 'utf8')));
  }

  /** Undefined when there is none of this name. */
  get(name: string): Promise<PageFile> | undefined {
    if (!this.#names.has(name)) return undefined;
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const file = this.#read(name);
    this.#files.set(name, file);
    file.catch(() => this.#files.delete(name));
    return file;
  }

  async #read(name: string): Promise<PageFile> {
    const bytes = await readFile(new URL(name, DIRECTORY));
    const gzipped = await promisify(gzip)(bytes, { level: constants.Z_BEST_COMPRESSION });
    return { gzipped, contentType: TYPES[name.split('.').at(-1) ?? ''] as string, bytes };
  }
}
