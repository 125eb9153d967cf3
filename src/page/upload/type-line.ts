import type { AppendStream } from '../../browser/append-options.ts';
import { openAppend } from '../../browser/open-append.ts';
import { tabToken } from '../token/tab-token.ts';

/** What those are told who show what is typed. */
export interface TypeLineEvents {
  /** The server takes what is typed from now on. */
  opened(): void;
  /** Something went wrong, or is over. */
  tell(text: string): void;
  /** It was closed, and appends no more. */
  closed(): void;
}

/** Appends lines that are typed, as one append that lasts from the first one until it is closed. */
export class TypeLine {
  readonly element = document.createElement('form');
  readonly #url: URL;
  readonly #events: TypeLineEvents;
  readonly #input = document.createElement('input');
  #stream: AppendStream | undefined;

  constructor(url: URL, events: TypeLineEvents) {
    this.#url = url;
    this.#events = events;
    this.#input.type = 'text';
    this.#input.autocomplete = 'off';
    this.#input.placeholder = 'Type a line, and Enter appends it';
    this.#input.ariaLabel = 'A line to be appended';
    const done = document.createElement('button');
    done.type = 'button';
    done.textContent = 'Done';
    done.title = 'Ends the append  (Esc)';
    done.addEventListener('click', () => void this.close());
    this.element.className = 'type-line';
    this.element.append(this.#input, done);
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#append(this.#input.value);
      this.#input.value = '';
    });
    this.#input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !event.isComposing) void this.close();
    });
  }

  focus(): void {
    this.#input.focus();
  }

  /** Ends the append as finished, if there is one. */
  async close(): Promise<void> {
    this.element.remove();
    this.#events.closed();
    const stream = this.#stream;
    this.#stream = undefined;
    // What goes wrong is told where it was opened.
    await stream?.close().catch(() => {});
  }

  #append(line: string): void {
    this.#stream ??= this.#open();
    // As above.
    this.#stream.write(`${line}\n`).catch(() => {});
  }

  #open(): AppendStream {
    const stream = openAppend(this.#url, {
      token: tabToken(),
      onState: ({ type }) => {
        if (type === 'open') this.#events.opened();
      },
    });
    stream.closed.catch((error: Error) => {
      this.#events.tell(`Not all of it was appended: ${error.message}`);
      if (this.#stream === stream) this.#stream = undefined;
    });
    return stream;
  }
}
