import type { ControlSequence } from './control-sequences.ts';
import { selectGraphicRendition } from './sgr.ts';
import { PLAIN, type Style } from './style.ts';

/** What text that follows looks like, and whether it can be seen. */
export interface TerminalState {
  readonly style: Style;
  /** Address that is linked to, by OSC 8. */
  readonly link: string | undefined;
  /** The alternate screen is on: a full-screen program runs. */
  readonly alternate: boolean;
}

/** How a terminal begins. */
export const INITIAL_STATE: TerminalState = Object.freeze({
  style: PLAIN,
  link: undefined,
  alternate: false,
});

const ALTERNATE_SCREEN = /^\?(?:\d+;)*(?:47|1047|1049)(?:;\d+)*$/;

/** Addresses that may become a link: printable ASCII, as RFC 3986 has it, and of bounded length. */
const WEB_ADDRESS = /^https?:\/\/[\x21-\x7e]{1,2048}$/i;

/** The part of a terminal that outlives lines: colours, link, alternate screen. */
export class Pen {
  style: Style;
  link: string | undefined;
  alternate: boolean;
  #saved: Style = PLAIN;

  constructor(state: TerminalState) {
    this.style = state.style;
    this.link = state.link;
    this.alternate = state.alternate;
  }

  get state(): TerminalState {
    return { style: this.style, link: this.link, alternate: this.alternate };
  }

  apply(sequence: ControlSequence): void {
    if (sequence.kind === 'osc') this.#applyLink(sequence.parameters);
    else if (sequence.kind === 'csi') this.#applyCsi(sequence);
    else if (sequence.kind === 'escape' && sequence.parameters === '') this.#applyEscape(sequence.final);
  }

  #applyCsi({ final, parameters }: ControlSequence): void {
    switch (final) {
      case 'm':
        if (/^[\d;:]*$/.test(parameters)) this.style = selectGraphicRendition(this.style, parameters);
        break;
      case 's':
        if (parameters === '') this.#saved = this.style;
        break;
      case 'u':
        if (parameters === '') this.style = this.#saved;
        break;
      case 'p':
        if (parameters === '!') this.style = PLAIN;
        break;
      case 'h':
      case 'l':
        if (ALTERNATE_SCREEN.test(parameters)) this.#switchScreen(final === 'h');
        break;
    }
  }

  #applyEscape(final: string): void {
    if (final === '7') this.#saved = this.style;
    if (final === '8') this.style = this.#saved;
    if (final === 'c') {
      this.style = PLAIN;
      this.link = undefined;
      this.alternate = false;
    }
  }

  #switchScreen(alternate: boolean): void {
    if (alternate && !this.alternate) this.#saved = this.style;
    if (!alternate && this.alternate) this.style = this.#saved;
    this.alternate = alternate;
  }

  #applyLink(text: string): void {
    if (!text.startsWith('8;')) return;
    const address = text.slice(text.indexOf(';', 2) + 1);
    this.link = WEB_ADDRESS.test(address) ? address : undefined;
  }
}
