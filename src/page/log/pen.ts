import { type ControlSequence, readControlSequence } from './control-sequences.ts';
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

const ESC = 0x1b;

const latin1Decoder = new TextDecoder('latin1');

const ALTERNATE_SCREEN = /^\?(?:\d+;)*(?:47|1047|1049)(?:;\d+)*$/;

/** Addresses that may become a link: printable ASCII, as RFC 3986 has it, and of bounded length. */
const WEB_ADDRESS = /^https?:\/\/[\x21-\x7e]{1,2048}$/i;

/**
 * What is open after some bytes: looks at their control sequences only, which is many times faster than
 * to make rows of them.
 *
 * @param state what is open before them
 */
export function stateAfter(bytes: Uint8Array, state: TerminalState = INITIAL_STATE): TerminalState {
  const pen = new Pen(state);
  const latin1 = latin1Decoder.decode(bytes);
  for (let index = bytes.indexOf(ESC); index !== -1; ) {
    const sequence = readControlSequence(bytes, latin1, index, bytes.length);
    pen.apply(sequence);
    index = bytes.indexOf(ESC, sequence.next);
  }
  return pen.state;
}

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
    switch (sequence.kind) {
      case 'csi':
        this.#applyCsi(sequence);
        break;
      case 'private':
        this.#applyPrivate(sequence);
        break;
      case 'osc':
        this.#applyLink(sequence.parameters);
        break;
      case 'escape':
        if (sequence.parameters === '') this.#applyEscape(sequence.final);
    }
  }

  #applyCsi({ final, parameters }: ControlSequence): void {
    if (final === 'm') this.style = selectGraphicRendition(this.style, parameters);
    else if (final === 's' && parameters === '') this.#saved = this.style;
    else if (final === 'u' && parameters === '') this.style = this.#saved;
  }

  #applyPrivate({ final, parameters }: ControlSequence): void {
    if (final === 'p' && parameters === '!') this.style = PLAIN;
    else if ((final === 'h' || final === 'l') && ALTERNATE_SCREEN.test(parameters)) {
      this.#switchScreen(final === 'h');
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
