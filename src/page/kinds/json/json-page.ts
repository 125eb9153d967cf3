import type { PageData } from '../../../wire/page.ts';
import { barButton } from '../../frame/bar.ts';
import { formatBytes } from '../../frame/format.ts';
import { mayGrow } from '../../state/stream-state.ts';
import { LogGroups } from '../../view/log-groups.ts';
import { LogPage } from '../../view/log-page.ts';
import type { RecordPanel } from '../records/record-panel.ts';

/** What is shown as a tree is at most so long, in bytes: it is read as a whole, at once. */
const MAX_DOCUMENT_BYTES = 2 * 1024 * 1024;

const LARGER = `It is larger than ${formatBytes(MAX_DOCUMENT_BYTES)}, and shown as text alone.`;

/** The page of one JSON document: the page of a text, and beside it the value as a tree, as soon as all of it is there. */
export class JsonPage {
  readonly #page: LogPage;
  readonly #button = barButton('Tree', 'All of it as a tree (t)', () => this.#toggle());
  /** Where the tree will be: it has its room before it is there. */
  readonly #room = document.createElement('aside');
  #panel: RecordPanel | undefined;
  /** How much of the document was there when it was shown, or could not be. */
  #shownSize = -1;

  constructor(data: PageData) {
    this.#page = new LogPage(data, {
      rows: (file, found) => new LogGroups(file, found),
      keys: [
        { keys: ['t'], does: 'all of it as a tree, or only the text', run: () => this.#toggle() },
        { keys: ['Escape'], does: 'close the tree', run: () => this.#close() },
      ],
      changed: () => this.#onChanged(),
    });
    this.#button.ariaPressed = 'true';
    this.#page.bar.addFirst(this.#button);
    this.#room.className = 'record-panel';
    this.#page.frame.append(this.#room);
  }

  start(): void {
    this.#page.start();
  }

  /** What is being written is no document as yet. */
  #onChanged(): void {
    const { state, store } = this.#page.live;
    if (state.kind === 'connecting') return;
    if (mayGrow(state)) this.#close();
    else if (state.kind !== 'locked' && store.size !== this.#shownSize) void this.#show();
  }

  #toggle(): void {
    if (this.#button.ariaPressed === 'true') this.#close();
    else void this.#show();
  }

  #close(): void {
    this.#button.ariaPressed = 'false';
    this.#panel?.hide();
    this.#room.hidden = true;
    this.#page.view.element.focus();
  }

  /** Shows the tree, or says why there is none. */
  async #show(): Promise<void> {
    const { size } = this.#page.live.store;
    this.#shownSize = size;
    try {
      const trouble = size > MAX_DOCUMENT_BYTES ? LARGER : await this.#showTree(size);
      if (trouble === undefined) return;
      this.#page.tell(trouble);
    } catch (error) {
      this.#page.tell(`It could not be shown as a tree: ${(error as Error).message}`);
    }
    this.#close();
  }

  async #showTree(size: number): Promise<string | undefined> {
    const { store } = this.#page.live;
    const [{ parseJson }, { RecordPanel }] = await Promise.all([
      import('../records/json-node.ts'),
      import('../records/record-panel.ts'),
      store.load(0, size),
    ]);
    const bytes = store.slice(0, size);
    const node = bytes && parseJson(new TextDecoder().decode(bytes));
    if (node === undefined) return 'It is no valid JSON, and shown as text alone.';
    if (this.#panel === undefined) {
      this.#panel = new RecordPanel(() => this.#close());
      this.#page.frame.append(this.#panel.element);
    }
    this.#room.hidden = true;
    this.#button.ariaPressed = 'true';
    this.#panel.show(`${formatBytes(size)} of JSON`, node);
    return undefined;
  }
}
