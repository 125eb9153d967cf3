import type { EntryState } from '../../wire/page.ts';
import { formatAge, formatBytes, formatTime } from '../frame/format.ts';
import { visible } from '../frame/visible.ts';
import type { Tone } from '../state/stream-state.ts';
import { type DirectoryEntry, entryHref } from './directory-entry.ts';

const WORDS: Record<EntryState, readonly [tone: Tone, word: string]> = {
  live: ['live', 'Live'],
  waiting: ['waiting', 'Waiting'],
  finished: ['done', 'Finished'],
  interrupted: ['bad', 'Interrupted'],
  relay: ['idle', 'Relay'],
};

/** The state of an entry in a word, and how it looks; undefined when there is nothing to say. */
function wordOfEntry({ state, status }: DirectoryEntry): readonly [Tone, string] | undefined {
  if (status !== undefined && state !== 'live') return [status === 0 ? 'done' : 'bad', `Exit ${status}`];
  return state && WORDS[state];
}

/**
 * Makes the element of an entry, or brings the one that it has up to date.
 *
 * @param nowMs what time it is by the server's clock
 */
export function directoryRow(entry: DirectoryEntry, nowMs: number, element = emptyRow()): HTMLElement {
  const [name, state, size, modified] = [...element.children] as [
    HTMLElement,
    HTMLElement,
    HTMLElement,
    HTMLElement,
  ];
  const link = name.firstElementChild as HTMLAnchorElement;
  const shown = visible(entry.name);
  setText(link, entry.isDirectory ? `${shown}/` : shown);
  link.setAttribute('href', entryHref(entry));
  link.title = shown;
  showState(state, wordOfEntry(entry));
  setText(size, entry.size === undefined ? '' : formatBytes(entry.size));
  setText(modified, formatAge(entry.modifiedMs, nowMs));
  modified.title = formatTime(entry.modifiedMs);
  element.classList.toggle('directory', entry.isDirectory);
  return element;
}

function emptyRow(): HTMLElement {
  const row = document.createElement('div');
  row.className = 'entry';
  row.role = 'row';
  for (const column of ['name', 'condition', 'size', 'modified']) {
    const cell = document.createElement('div');
    cell.className = column;
    cell.role = 'gridcell';
    row.append(cell);
  }
  const link = document.createElement('a');
  // The grid has the focus, and says which row is the active one.
  link.tabIndex = -1;
  row.firstElementChild?.append(link);
  return row;
}

function showState(cell: HTMLElement, word: readonly [Tone, string] | undefined): void {
  if (word === undefined) {
    cell.replaceChildren();
    return;
  }
  const [tone, text] = word;
  let badge = cell.firstElementChild as HTMLElement | null;
  if (badge === null) {
    badge = document.createElement('span');
    badge.className = 'state';
    const dot = document.createElement('span');
    dot.className = 'dot';
    badge.append(dot, document.createElement('span'));
    cell.append(badge);
  }
  badge.dataset.tone = tone;
  setText(badge.lastElementChild as HTMLElement, text);
}

/** Text that is the same is left alone, and a selection in it. */
function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
