import type { Span } from '../log/line.ts';
import { coloursOf } from '../log/palette.ts';
import type { Row } from '../log/rows.ts';
import { PLAIN, type Style } from '../log/style.ts';

/** Styles that are classes of the same name. */
const CLASSES = ['bold', 'italic', 'underline', 'strike'] as const;

/** Makes the element of a row: the place of its number, which is set by whoever shows it, and its text. */
export function rowElement({ spans }: Row): HTMLElement {
  const element = document.createElement('div');
  element.className = 'row';
  const number = document.createElement('span');
  number.className = 'number';
  const text = document.createElement('span');
  text.className = 'text';
  text.append(...spans.map(nodeOf));
  element.append(number, text);
  return element;
}

function nodeOf({ text, style, link, chip }: Span): Node {
  if (link === undefined && !chip && style === PLAIN) return document.createTextNode(text);
  const element = link === undefined ? document.createElement('span') : linkTo(link);
  element.textContent = text;
  setStyle(element, style);
  if (chip) element.classList.add('chip');
  return element;
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
