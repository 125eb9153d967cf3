import type { Span } from '../log/line.ts';
import { coloursOf } from '../log/palette.ts';
import { PLAIN, type Style } from '../log/style.ts';
import { spacedTexts } from './column-spacing.ts';

/** Styles that are classes of the same name. */
const CLASSES = ['bold', 'italic', 'underline', 'strike'] as const;

/** What stands beside a row, and is no part of the text. */
export interface RowNotes {
  /** The number of its line, counted from 1; empty when it is not known. */
  readonly number: string;
  /** When it came; empty when that is not known. */
  readonly time: string;
  readonly isLinked: boolean;
  /** Of the header of a group. */
  readonly group: GroupNotes | undefined;
}

/** What stands beside the header of a group. */
export interface GroupNotes {
  readonly title: string;
  readonly isFolded: boolean;
  readonly isFailed: boolean;
  /** How long it took; empty when that is not known. */
  readonly took: string;
}

/** Makes the element of a row: the places of its notes, and its text. What is not the text cannot be selected. */
export function rowElement(spans: readonly Span[]): HTMLElement {
  const element = document.createElement('div');
  element.className = 'row';
  const text = part('text');
  text.append(...spanNodes(spans));
  element.append(part('number'), part('time'), part('mark'), text);
  return element;
}

/** What a row's element has its text in. */
export function textPart(element: HTMLElement): HTMLElement {
  return element.lastElementChild as HTMLElement;
}

/** Makes what shows some spans side by side. */
export function spanNodes(spans: readonly Span[]): Node[] {
  return spans.flatMap(nodesOf);
}

/** Brings the notes beside a row up to date. */
export function annotate(element: HTMLElement, { number, time, isLinked, group }: RowNotes): void {
  const [numberPart, timePart, mark, text] = element.children as unknown as HTMLElement[];
  setNote(numberPart!, number);
  setNote(timePart!, time);
  setNote(text!, group?.took ?? '');
  element.classList.toggle('linked', isLinked);
  element.classList.toggle('failed', group?.isFailed === true);
  if (group === undefined) {
    mark!.replaceChildren();
    return;
  }
  const button = mark!.querySelector('button') ?? document.createElement('button');
  button.type = 'button';
  button.ariaLabel = group.title === '' ? 'Group' : group.title;
  button.ariaExpanded = String(!group.isFolded);
  if (!button.isConnected) mark!.append(button);
}

/** Notes are drawn by the style sheet, from an attribute: nobody selects them, copies them or finds them in the page. */
function setNote(element: HTMLElement, note: string): void {
  if (note === '') delete element.dataset.note;
  else if (element.dataset.note !== note) element.dataset.note = note;
}

function part(name: string): HTMLElement {
  const element = document.createElement('span');
  element.className = name;
  return element;
}

function nodesOf({ text, style, link, chip }: Span): Node[] {
  if (link === undefined && !chip && style === PLAIN) return textNodes(text);
  const element = link === undefined ? document.createElement('span') : linkTo(link);
  element.append(...textNodes(text));
  setStyle(element, style);
  if (chip) element.classList.add('chip');
  return [element];
}

/** A text whose characters are in columns, whatever fonts they come from. */
function textNodes(text: string): Node[] {
  return spacedTexts(text).map(({ text, spacing }) => {
    if (spacing === 0) return document.createTextNode(text);
    const element = document.createElement('span');
    element.textContent = text;
    element.style.letterSpacing = `${spacing}em`;
    return element;
  });
}

function linkTo(address: string): HTMLAnchorElement {
  const link = document.createElement('a');
  link.href = address;
  link.title = address;
  link.target = '_blank';
  link.rel = 'noopener noreferrer nofollow';
  return link;
}

function setStyle(element: HTMLElement, style: Style): void {
  const { color, background } = coloursOf(style);
  if (color !== undefined) element.style.color = color;
  if (background !== undefined) element.style.background = background;
  element.classList.add(...CLASSES.filter((name) => style[name]));
}
