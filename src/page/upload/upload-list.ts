import { formatBytes, formatCount } from '../frame/format.ts';
import { visible } from '../frame/visible.ts';
import type { NamedFile } from './dropped-files.ts';
import { Upload } from './upload.ts';

/** So many are shown, as long as none of them has failed: a folder may have any number of files. */
const MAX_ROWS = 50;

/** The files that are being appended to a directory, one after the other, and how far each is. */
export class UploadList {
  readonly element = document.createElement('section');
  readonly #rows = document.createElement('div');
  readonly #others = document.createElement('p');
  readonly #directory: URL;
  readonly #onDone: () => void;
  /** What has no row yet; it comes after what waits. */
  readonly #unshown: NamedFile[] = [];
  readonly #waiting: Upload[] = [];
  /** How many are done whose rows have made room. */
  #doneCount = 0;
  #isRunning = false;

  /** @param onDone called when all that was to come to the directory has */
  constructor(directory: URL, onDone: () => void) {
    this.#directory = directory;
    this.#onDone = onDone;
    this.element.className = 'uploads';
    this.element.ariaLabel = 'Uploads';
    this.#others.className = 'others';
    this.element.append(this.#others, this.#rows);
  }

  add(files: Iterable<NamedFile>): void {
    for (const file of files) this.#unshown.push(file);
    this.#fill();
    void this.#run();
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let upload = this.#waiting.shift(); upload !== undefined; upload = this.#waiting.shift()) {
      await upload.run();
      this.#fill();
    }
    this.#isRunning = false;
    this.#onDone();
  }

  /** Shows what there is room for: what is done makes room, what has failed stays. */
  #fill(): void {
    for (let next = this.#unshown[0]; next !== undefined; next = this.#unshown[0]) {
      if (this.#rows.childElementCount >= MAX_ROWS) {
        const done = this.#rows.querySelector('[data-state="done"]');
        if (done === null && this.#waiting.length > 0) break;
        if (done !== null) this.#doneCount++;
        done?.remove();
      }
      this.#unshown.shift();
      this.#show(next);
    }
    const others = [
      this.#unshown.length === 0 ? [] : `${formatCount(this.#unshown.length)} more wait`,
      this.#doneCount === 0 ? [] : `${formatCount(this.#doneCount)} more are done`,
    ];
    this.#others.textContent = others.flat().join(', ');
    this.#others.hidden = this.#others.textContent === '';
  }

  #show({ path, file }: NamedFile): void {
    const row = new UploadRow(path, file.size, () => upload.cancel());
    const url = new URL(`./${path.split('/').map(escaped).join('/')}`, this.#directory);
    const upload = new Upload(url, file, () => row.show(upload));
    row.show(upload);
    this.#rows.append(row.element);
    this.#waiting.push(upload);
  }
}

/** A name as it is in a URL. One that is not well-formed has no escapes. */
function escaped(name: string): string {
  return encodeURIComponent(name.replace(/\p{Surrogate}/gu, '\ufffd'));
}

class UploadRow {
  readonly element = document.createElement('div');
  readonly #progress = document.createElement('progress');
  readonly #text = document.createElement('span');
  readonly #cancel = document.createElement('button');

  constructor(name: string, size: number, onCancel: () => void) {
    const label = document.createElement('span');
    label.className = 'name';
    label.textContent = visible(name);
    this.#progress.max = Math.max(1, size);
    this.#progress.ariaLabel = `Of ${name}`;
    this.#text.className = 'facts';
    this.#cancel.type = 'button';
    this.#cancel.textContent = 'Cancel';
    this.#cancel.ariaLabel = `Cancel ${name}`;
    this.#cancel.addEventListener('click', onCancel);
    this.element.className = 'upload';
    this.element.append(label, this.#progress, this.#text, this.#cancel);
  }

  show({ state, file, isOver }: Upload): void {
    const { type } = state;
    if ('safeBytes' in state) this.#progress.value = state.safeBytes;
    else this.#progress.value = type === 'done' ? this.#progress.max : this.#progress.value;
    const part = 'safeBytes' in state ? `${formatBytes(state.safeBytes)} of ${formatBytes(file.size)}` : '';
    this.#text.textContent = {
      waiting: 'waits',
      sending: part,
      reconnecting: `${part}, reconnecting`,
      done: formatBytes(file.size),
      failed: type === 'failed' ? (state.error as Error).message : '',
    }[type];
    this.element.dataset.state = type;
    this.#cancel.hidden = isOver;
  }
}
