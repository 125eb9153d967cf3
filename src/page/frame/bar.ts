import { visible } from './visible.ts';

/** The bar above whatever is shown: where it is, its state, what is known of it, and what can be done with it. */
export class Bar {
  readonly element = document.createElement('header');
  readonly #facts = document.createElement('span');
  readonly #actions = document.createElement('div');

  /**
   * @param path of what is shown, decoded, as in `/builds/42.log`; a directory's ends in `/`
   * @param badge says in which state that is
   */
  constructor(path: string, badge: HTMLElement) {
    this.element.className = 'bar';
    this.#facts.className = 'facts';
    this.#actions.className = 'actions';
    const standing = document.createElement('div');
    standing.className = 'standing';
    standing.append(badge);
    this.element.append(breadcrumbs(path), standing, this.#facts, this.#actions);
  }

  /** Says what is known of it: sizes, counts. What is not known is left out. */
  showFacts(facts: readonly (string | undefined)[]): void {
    const text = facts.filter((fact) => fact !== undefined).join(' · ');
    if (this.#facts.textContent !== text) this.#facts.textContent = text;
  }

  /** Adds what can be done with it before anything else. */
  addFirst(element: HTMLElement): void {
    this.#actions.prepend(element);
  }

  /**
   * Adds what can be done only by who may. It has its room from the beginning, so that nothing moves when it is shown.
   *
   * @returns shows it
   */
  reserve(element: HTMLElement): () => void {
    element.classList.add('reserved');
    this.#actions.prepend(element);
    return () => element.classList.add('offered');
  }

  /** Adds what can be done with it, from left to right. */
  add(...elements: readonly HTMLElement[]): void {
    this.#actions.append(...elements);
  }
}

/** A button of the bar; `hint` says more, and which key does the same. */
export function barButton(text: string, hint: string, onClick: () => void): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = text;
  button.title = hint;
  button.addEventListener('click', onClick);
  return button;
}

/** A link of the bar. */
export function barLink(text: string, hint: string, href: string): HTMLAnchorElement {
  const link = document.createElement('a');
  link.textContent = text;
  link.title = hint;
  link.href = href;
  return link;
}

/** Links to the directories that lead there. They are relative: what stands before the path in the URL is not known. */
function breadcrumbs(path: string): HTMLElement {
  const nav = document.createElement('nav');
  nav.className = 'crumbs';
  nav.ariaLabel = 'Path';
  const isDirectory = path.endsWith('/');
  const names = path.split('/').filter((name) => name !== '');
  // From a file `./` is its directory, from a directory that itself.
  const depth = names.length - (isDirectory ? 0 : 1);
  nav.append(crumb('/', '../'.repeat(depth) || './', names.length === 0));
  for (const [index, name] of names.entries()) {
    const isLast = index === names.length - 1;
    if (index > 0) nav.append(' / ');
    nav.append(crumb(name, '../'.repeat(Math.max(0, depth - index - 1)) || './', isLast));
  }
  return nav;
}

function crumb(text: string, href: string, isLast: boolean): HTMLElement {
  if (isLast) {
    const name = document.createElement('h1');
    name.textContent = visible(text);
    return name;
  }
  const link = document.createElement('a');
  link.textContent = visible(text);
  link.href = href;
  return link;
}
