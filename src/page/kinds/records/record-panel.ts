import { formatCount } from '../../frame/format.ts';
import { visible } from '../../frame/visible.ts';
import type { JsonNode } from './json-node.ts';
import { cut, preview } from './json-text.ts';
import { CHILDREN_AT_ONCE, childCount, type TreeRow, TreeState, treeRows } from './json-tree.ts';

/** Of a value that is closed so many characters are shown, … */
const PREVIEW_LENGTH = 80;

/** … of a string so many, of which a hundred may be there at once, … */
const MAX_STRING_LENGTH = 4000;

/** … and of a name so many. */
const MAX_KEY_LENGTH = 500;

/** Beside the records: one of them as a tree, whose values are opened one by one. */
export class RecordPanel {
  readonly element = document.createElement('aside');
  readonly #title = document.createElement('h2');
  readonly #tree = document.createElement('ul');
  readonly #close = document.createElement('button');

  /** `close` is called when whoever reads wants it closed, with the focus still in it. */
  constructor(close: () => void) {
    this.element.className = 'record-panel';
    this.element.ariaLabel = 'Record';
    this.element.hidden = true;
    this.#close.type = 'button';
    this.#close.textContent = 'Close';
    this.#close.addEventListener('click', close);
    const head = document.createElement('header');
    head.append(this.#title, this.#close);
    this.#tree.className = 'tree';
    this.element.append(head, this.#tree);
  }

  /** Shows a value, with the outermost one open. */
  show(title: string, node: JsonNode): void {
    this.#title.textContent = title;
    this.element.hidden = false;
    this.element.scrollTop = 0;
    this.#showTree(node, new TreeState());
  }

  hide(): void {
    this.element.hidden = true;
    this.#tree.replaceChildren();
  }

  #showTree(node: JsonNode, state: TreeState): void {
    const focused = (document.activeElement as HTMLElement | null)?.dataset.id;
    const rows = treeRows(node, state).map((row) => {
      const act = () => {
        if (row.kind === 'more') state.showMore(row.id);
        else state.toggle(row.id);
        this.#showTree(node, state);
      };
      return treeItem(row, act);
    });
    this.#tree.replaceChildren(...rows);
    if (focused !== undefined)
      this.#tree.querySelector<HTMLElement>(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }
}

function treeItem(row: TreeRow, act: () => void): HTMLElement {
  const item = document.createElement('li');
  item.style.paddingLeft = `${row.depth * 2}ch`;
  if (row.kind === 'more') {
    const text = `${formatCount(Math.min(row.count, CHILDREN_AT_ONCE))} more of ${formatCount(row.count)}`;
    item.append(treeButton(text, `${row.id}+`, act));
    return item;
  }
  const { key, node, isOpen, id } = row;
  if (isOpen !== undefined) {
    const button = treeButton(isOpen ? '▾' : '▸', id, act);
    button.ariaExpanded = String(isOpen);
    button.ariaLabel = key === undefined ? 'record' : keyText(key);
    item.append(button);
  }
  if (key !== undefined) item.append(textIn('key', keyText(key)), ': ');
  item.append(textIn(`value ${node.kind}`, valueText(node, isOpen === true)));
  return item;
}

function treeButton(text: string, id: string, act: () => void): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = text;
  button.dataset.id = id;
  button.addEventListener('click', act);
  return button;
}

function textIn(className: string, text: string): HTMLElement {
  const element = document.createElement('span');
  element.className = className;
  element.textContent = text;
  return element;
}

function keyText(key: string | number): string {
  return visible(cut(String(key), MAX_KEY_LENGTH));
}

/** A string in full, its lines as they are; of what is open only how much it holds. */
function valueText(node: JsonNode, isOpen: boolean): string {
  if (node.kind === 'string') {
    const { value } = node;
    const lines = value.slice(0, MAX_STRING_LENGTH).split('\n').map(visible).join('\n');
    return value.length > MAX_STRING_LENGTH ? `${lines}… (${formatCount(value.length)} characters)` : lines;
  }
  if (!isOpen) return preview(node, PREVIEW_LENGTH);
  const count = formatCount(childCount(node));
  return node.kind === 'array' ? `[${count}]` : `{${count}}`;
}
