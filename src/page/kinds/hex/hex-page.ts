import { FileFrame } from '../../file/file-frame.ts';
import { HelpSheet } from '../../keys/help-sheet.ts';
import { KeyTable } from '../../keys/key-table.ts';
import { parseOffset } from './hex-rows.ts';
import { HexView } from './hex-view.ts';

/** In a link to a byte: `#0x1f4`. */
const OFFSET_LINK = /^#(0x[0-9a-f]+)$/i;

/** The page of bytes that are no text: a hex view of them as they come. */
export class HexPage {
  readonly #frame: FileFrame;
  readonly #view: HexView;
  readonly #offset = document.createElement('input');
  /** Whether a link led here whose byte is still to be shown. */
  #isLinked = OFFSET_LINK.test(location.hash);

  /** @param path of the file, decoded */
  constructor(path: string) {
    this.#frame = new FileFrame(path, { grown: () => this.#onGrown(), changed: () => {} });
    const { live, bar } = this.#frame;
    this.#view = new HexView(live.store, (error) => {
      this.#frame.tell(`Bytes could not be read: ${(error as Error).message}`);
    });
    this.#makeOffset();
    const help = new HelpSheet(() => keys);
    const keys = this.#makeKeys(help);
    bar.add(this.#offset);
    this.#frame.addLinks();
    bar.add(help.button);
    this.#frame.add(this.#view.element, help.element);
    addEventListener('hashchange', () => this.#followLink());
  }

  start(): void {
    this.#frame.live.start();
  }

  #onGrown(): void {
    if (this.#isLinked) this.#followLink();
    this.#view.grown();
  }

  #followLink(): void {
    const offset = parseOffset(OFFSET_LINK.exec(location.hash)?.[1] ?? '', this.#frame.live.store.size);
    if (offset === undefined) return;
    this.#isLinked = false;
    this.#view.goTo(offset);
  }

  #makeOffset(): void {
    this.#offset.placeholder = 'Go to offset';
    this.#offset.ariaLabel = 'Go to offset';
    this.#offset.title = 'Decimal, 0x and hexadecimal, or -n from the end (g)';
    this.#offset.spellcheck = false;
    this.#offset.autocomplete = 'off';
    this.#offset.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.isComposing) return;
      event.preventDefault();
      this.#goToTyped();
    });
  }

  #goToTyped(): void {
    const { size } = this.#frame.live.store;
    const offset = parseOffset(this.#offset.value, size);
    if (offset === undefined) {
      this.#frame.tell('There is no such byte: offsets are like 1000, 0x3e8 and -16.');
      return;
    }
    this.#view.element.focus();
    // The event of it goes there.
    const link = `#0x${offset.toString(16)}`;
    if (location.hash === link) this.#view.goTo(offset);
    else location.hash = link;
  }

  #makeKeys(help: HelpSheet): KeyTable {
    const { list } = this.#view;
    const move = (rows: number) => list.goTo(list.range[0] + rows);
    return new KeyTable([
      { keys: ['ArrowDown', 'j'], does: 'a row down', run: () => move(1) },
      { keys: ['ArrowUp', 'k'], does: 'a row up', run: () => move(-1) },
      { keys: ['PageDown', ' '], does: 'a page down', run: () => move(list.pageLength) },
      { keys: ['PageUp'], does: 'a page up', run: () => move(-list.pageLength) },
      { keys: ['Home'], does: 'the beginning', run: () => list.goTo(0) },
      { keys: ['End', 'G'], does: 'the end, and what comes', run: () => list.goToEnd() },
      { keys: ['g'], does: 'go to an offset', run: () => this.#offset.select() },
      { keys: ['?'], does: 'this help', run: () => help.toggle() },
    ]);
  }
}
