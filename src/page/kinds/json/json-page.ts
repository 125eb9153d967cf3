import type { PageData } from '../../../wire/page.ts';
import { barButton } from '../../frame/bar.ts';
import { formatBytes } from '../../frame/format.ts';
import { GroupOutline } from '../../groups/group-outline.ts';
import { rowsOf } from '../../log/rows.ts';
import { mayGrow } from '../../state/stream-state.ts';
import { LogPage } from '../../view/log-page.ts';
import { charactersInText } from '../../view/text-rows.ts';
import type { JsonNode } from '../records/json-node.ts';
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
  /** How often it was to be shown or closed: what comes late for one of these is dropped. */
  #attempt = 0;

  constructor(data: PageData) {
    this.#page = new LogPage(data, {
      // Programs that build write no documents: there are no groups.
      rows: () => ({ outline: new GroupOutline(), charactersIn: charactersInText, rowsOf }),
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

  /** Also while it is made, and by itself when the document goes on: then the focus is somewhere else. */
  #close(): void {
    this.#attempt++;
    this.#button.ariaPressed = 'false';
    this.#room.hidden = true;
    const hadFocus = this.#panel?.element.contains(document.activeElement) === true;
    this.#panel?.hide();
    if (hadFocus) this.#page.view.element.focus();
  }

  /** Shows the tree, or says why there is none; neither if it was closed meanwhile, or is to be shown anew. */
  async #show(): Promise<void> {
    const { size } = this.#page.live.store;
    const attempt = ++this.#attempt;
    this.#shownSize = size;
    this.#button.ariaPressed = 'true';
    const root = await this.#load(size).catch(
      (error: Error) => `It could not be shown as a tree: ${error.message}`,
    );
    if (attempt !== this.#attempt) return;
    if (typeof root === 'string') {
      this.#page.tell(root);
      this.#close();
    } else {
      this.#room.hidden = true;
      this.#panel?.show(`${formatBytes(size)} of JSON`, root);
    }
  }

  /** Reads the document, and loads what shows it. @returns its value, or why there is none */
  async #load(size: number): Promise<JsonNode | string> {
    if (size > MAX_DOCUMENT_BYTES) return LARGER;
    const { store } = this.#page.live;
    const [{ parseJson }, { RecordPanel }] = await Promise.all([
      import('../records/json-node.ts'),
      import('../records/record-panel.ts'),
      store.load(0, size),
    ]);
    if (this.#panel === undefined) {
      this.#panel = new RecordPanel(() => this.#close());
      this.#page.frame.append(this.#panel.element);
    }
    const { node, isTooDeep } = parseJson(new TextDecoder().decode(store.slice(0, size)));
    return node ?? `It is ${isTooDeep ? 'nested too deeply' : 'no valid JSON'}, and shown as text alone.`;
  }
}
