import { FILE_NAMES } from './bodies.ts';

/** A name in a path, as it goes over the wire. */
const NAME = /[/ ]([^/\s?]*)/g;

/** What lies between the chunks of a body. */
const CHUNK_LINE = /\r\n[0-9a-f]+(?:;[^\r]*)?\r\n/gi;

/** Longer ones are no names of files. */
const MAX_LENGTH = 2000;

/** The names that clients have said: no others may appear in the root. */
export class Names {
  readonly #inPaths = new Set<string>(FILE_NAMES.map(asLatin1));
  /** All that was said in forms, where names can be told from the rest only by reading forms. */
  readonly #forms: string[] = [];

  /** Takes the names from what is sent. */
  add(bytes: Buffer): void {
    const text = bytes.toString('latin1');
    for (const [, name] of text.matchAll(NAME)) this.#addName(name as string);
    if (text.includes('form-data')) this.#forms.push(text);
  }

  /** @param name as it is on the disk */
  has(name: string): boolean {
    // Bytes beyond ASCII may come escaped, as they are, or as somebody took them for Latin-1.
    const spellings = [asLatin1(name), name];
    return spellings.some(
      (spelling) => this.#inPaths.has(spelling) || this.#forms.some((form) => saysInForm(form, spelling)),
    );
  }

  #addName(escaped: string): void {
    if (escaped.length > MAX_LENGTH) return;
    const name = unescaped(escaped);
    // An escaped slash is one.
    for (const part of [name, ...name.split('/'), escaped.split('#')[0] as string]) this.#inPaths.add(part);
  }
}

/** Names in forms are taken as they are, or unescaped; blanks in one that has no quotation marks are left out. */
function saysInForm(form: string, name: string): boolean {
  return [form, form.replace(CHUNK_LINE, '')].some((text) =>
    [text, unescaped(text), unescaped(text).replace(/[ \t]/g, '')].some((spelling) =>
      spelling.includes(name),
    ),
  );
}

function asLatin1(name: string): string {
  return Buffer.from(name).toString('latin1');
}

/** Escapes are undone once, and once only. */
function unescaped(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}
