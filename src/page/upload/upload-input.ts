import { type Bar, barButton } from '../frame/bar.ts';
import { chosenFiles, droppedFiles, type NamedFile } from './dropped-files.ts';
import { mayAppend } from './may-append.ts';
import type { UploadList } from './upload-list.ts';

/** A name in a directory by which it is asked what may be done there. */
const ANY_NAME = 'upload';

/** Files that are dropped on the page of a directory, or chosen: for who may append there. */
export class UploadInput {
  readonly #directory: URL;
  readonly #show: () => void;
  readonly #onDone: () => void;
  readonly #tell: (text: string) => void;
  readonly #files = document.createElement('input');
  #list: Promise<UploadList> | undefined;
  #isOffered = false;

  /**
   * @param onDone called when all that was to come to the directory has
   * @param tell says why nothing can be taken
   */
  constructor(directory: URL, bar: Bar, onDone: () => void, tell: (text: string) => void) {
    this.#directory = directory;
    this.#show = bar.reserve(
      barButton('Upload', 'Append files here; or drop them', () => this.#files.click()),
    );
    this.#onDone = onDone;
    this.#tell = tell;
    this.#files.type = 'file';
    this.#files.multiple = true;
    this.#files.hidden = true;
    this.#files.addEventListener('change', () => {
      void this.#take(chosenFiles(this.#files.files ?? []));
      this.#files.value = '';
    });
    document.addEventListener('dragover', (event) => this.#onDrag(event));
    document.addEventListener('dragleave', () => document.body.classList.remove('dropping'));
    document.addEventListener('drop', (event) => this.#onDrop(event));
  }

  /** Offers it to who may append, once. */
  async offer(): Promise<void> {
    if (this.#isOffered) return;
    const may = await mayAppend(new URL(ANY_NAME, this.#directory)).catch(() => false);
    if (!may || this.#isOffered) return;
    this.#isOffered = true;
    this.#show();
    document.body.append(this.#files);
  }

  #onDrag(event: DragEvent): void {
    if (!event.dataTransfer?.types.includes('Files')) return;
    // Be it taken or not: else the browser would show the file in the place of the page.
    event.preventDefault();
    event.dataTransfer.dropEffect = this.#isOffered ? 'copy' : 'none';
    document.body.classList.toggle('dropping', this.#isOffered);
  }

  #onDrop(event: DragEvent): void {
    document.body.classList.remove('dropping');
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    if (!this.#isOffered) return;
    droppedFiles(event.dataTransfer).then(
      (files) => (files.length === 0 ? this.#tell('There are no files in it.') : this.#take(files)),
      (error) => this.#tell(`It could not be read: ${(error as Error).message}`),
    );
  }

  async #take(files: readonly NamedFile[]): Promise<void> {
    this.#list ??= import('./upload-list.ts').then(({ UploadList }) => {
      const list = new UploadList(this.#directory, this.#onDone);
      document.body.append(list.element);
      return list;
    });
    try {
      (await this.#list).add(files);
    } catch {
      this.#list = undefined;
      this.#tell('What uploads could not be loaded: the server may be away.');
    }
  }
}
