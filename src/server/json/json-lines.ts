import { InvalidRequestError } from '../../wire/errors.ts';

/** Deepest nesting of arrays and objects. */
const MAX_DEPTH = 1000;

const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const LOWER_E = 0x65;
const LOWER_U = 0x75;

const NO_BYTES = Buffer.alloc(0);
const NEWLINE = Buffer.from('\n');

/** What may follow a backslash, except `u`. */
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'));

const LITERALS: ReadonlyMap<number | undefined, Buffer> = new Map(
  ['true', 'false', 'null'].map((name) => [name.charCodeAt(0), Buffer.from(name)]),
);

/** Where in a document the next byte is (RFC 8259). */
const State = {
  value: 0,
  /** After a bracket that may be closed at once. */
  firstValue: 1,
  firstKey: 2,
  key: 3,
  colon: 4,
  afterValue: 5,
  string: 6,
  escape: 7,
  hexDigit: 8,
  literal: 9,
  minus: 10,
  zero: 11,
  integer: 12,
  point: 13,
  fraction: 14,
  exponent: 15,
  exponentSign: 16,
  exponentDigits: 17,
} as const;

type State = (typeof State)[keyof typeof State];

/**
 * Checks a JSON document byte by byte, and takes its values apart, one a line:
 * those of an array, or the one that it is. They stay as they were written,
 * without the line ends between their tokens. The document is rewritten in
 * place, as a line is never longer than what it was made of, and nothing is made
 * of a value, so that a document costs its bytes, whatever is in it.
 */
export class JsonLines {
  readonly #json: Buffer;
  #state: State = State.value;
  /** Position of the next byte that is read, and of the next that is written. */
  #at = 0;
  #out = 0;
  /** Whether the document is an array, which is taken apart. */
  #isArray = false;
  #depth = 0;
  /** For each level whether it is an object. */
  readonly #isObject = new Uint8Array(MAX_DEPTH + 1);
  /** Whether the string is a key. */
  #isKey = false;
  #hexDigits = 0;
  #literal: Buffer = NO_BYTES;
  #literalAt = 0;

  /** @param json the document in UTF-8, owned by this object from now on */
  constructor(json: Buffer) {
    this.#json = json;
  }

  /**
   * Parses at most so many bytes more.
   *
   * @returns whether there are more
   * @throws {InvalidRequestError} when it is not JSON, or nested too deeply
   */
  advance(maxBytes: number): boolean {
    const json = this.#json;
    const end = Math.min(this.#at + maxBytes, json.length);
    while (this.#at < end) {
      if (this.#state === State.string) this.#runThroughString(end);
      else this.#take(json[this.#at++] as number);
    }
    return end < json.length;
  }

  /**
   * The lines, once all of the document is parsed; nothing for an empty array.
   *
   * @throws {InvalidRequestError} when the document is not whole
   */
  lines(): Buffer {
    // A number has no end of its own.
    if (isNumberEnd(this.#state)) this.#state = State.afterValue;
    if (this.#state !== State.afterValue || this.#depth > 0) throw this.#invalid();
    const lines = this.#json.subarray(0, this.#out);
    if (this.#isArray) return lines;
    return Buffer.concat([lines, NEWLINE]);
  }

  #runThroughString(end: number): void {
    const json = this.#json;
    let at = this.#at;
    let out = this.#out;
    let byte = 0;
    while (at < end) {
      byte = json[at++] as number;
      if (byte < SPACE) throw this.#invalid();
      json[out++] = byte;
      if (byte === QUOTE || byte === BACKSLASH) break;
    }
    this.#at = at;
    this.#out = out;
    if (byte === QUOTE) this.#state = this.#isKey ? State.colon : State.afterValue;
    else if (byte === BACKSLASH) this.#state = State.escape;
  }

  #take(byte: number): void {
    switch (this.#state) {
      case State.value:
      case State.firstValue:
        this.#takeValue(byte);
        break;
      case State.firstKey:
      case State.key:
        this.#takeKey(byte);
        break;
      case State.colon:
        if (!this.#isSpace(byte)) this.#takeIf(byte === COLON, byte, State.value);
        break;
      case State.afterValue:
        this.#takeAfterValue(byte);
        break;
      case State.escape:
        this.#hexDigits = 0;
        if (byte === LOWER_U) this.#put(byte, State.hexDigit);
        else this.#takeIf(ESCAPED.has(byte), byte, State.string);
        break;
      case State.hexDigit:
        this.#hexDigits++;
        this.#takeIf(isHexDigit(byte), byte, this.#hexDigits === 4 ? State.string : State.hexDigit);
        break;
      case State.literal:
        this.#takeLiteral(byte);
        break;
      default:
        this.#takeNumber(byte);
    }
  }

  #takeLiteral(byte: number): void {
    const isRight = byte === this.#literal[this.#literalAt++];
    const isLast = this.#literalAt === this.#literal.length;
    this.#takeIf(isRight, byte, isLast ? State.afterValue : State.literal);
  }

  #takeValue(byte: number): void {
    if (this.#isSpace(byte)) return;
    if (byte === QUOTE) {
      this.#isKey = false;
      this.#put(byte, State.string);
    } else if (byte === MINUS) this.#put(byte, State.minus);
    else if (byte === ZERO) this.#put(byte, State.zero);
    else if (isDigit(byte)) this.#put(byte, State.integer);
    else if (byte === OPENING_BRACKET) this.#open(byte, false);
    else if (byte === OPENING_BRACE) this.#open(byte, true);
    else if (byte === CLOSING_BRACKET && this.#state === State.firstValue) this.#close(byte, true);
    else {
      this.#literal = LITERALS.get(byte) ?? NO_BYTES;
      this.#literalAt = 1;
      this.#takeIf(this.#literal.length > 0, byte, State.literal);
    }
  }

  #takeKey(byte: number): void {
    if (this.#isSpace(byte)) return;
    this.#isKey = true;
    if (byte === CLOSING_BRACE && this.#state === State.firstKey) this.#close(byte, true);
    else this.#takeIf(byte === QUOTE, byte, State.string);
  }

  #takeAfterValue(byte: number): void {
    if (this.#isSpace(byte)) return;
    const isInObject = this.#isObject[this.#depth] === 1;
    if (this.#depth === 0) throw this.#invalid();
    if (byte === COMMA) {
      // The next value is on a line of its own.
      const isBetweenLines = this.#depth === 1 && this.#isArray;
      this.#put(isBetweenLines ? LINE_FEED : byte, isInObject ? State.key : State.value);
    } else if (byte === (isInObject ? CLOSING_BRACE : CLOSING_BRACKET)) this.#close(byte, false);
    else throw this.#invalid();
  }

  #takeNumber(byte: number): void {
    const state = this.#state;
    if (isDigit(byte) && state !== State.zero) {
      this.#put(byte, stateAfterDigit(state, byte));
    } else if (byte === DOT && (state === State.zero || state === State.integer)) {
      this.#put(byte, State.point);
    } else if ((byte | 0x20) === LOWER_E && isMantissaEnd(state)) {
      this.#put(byte, State.exponent);
    } else if ((byte === PLUS || byte === MINUS) && state === State.exponent) {
      this.#put(byte, State.exponentSign);
    } else if (isNumberEnd(state)) {
      this.#state = State.afterValue;
      this.#takeAfterValue(byte);
    } else throw this.#invalid();
  }

  #open(byte: number, isObject: boolean): void {
    const isWhole = this.#depth === 0 && !isObject;
    this.#depth++;
    if (this.#depth > MAX_DEPTH) {
      throw new InvalidRequestError(`the body is nested more than ${MAX_DEPTH} levels deep`);
    }
    this.#isObject[this.#depth] = isObject ? 1 : 0;
    if (isWhole) this.#isArray = true;
    else this.#json[this.#out++] = byte;
    this.#state = isObject ? State.firstKey : State.firstValue;
  }

  #close(byte: number, isEmpty: boolean): void {
    const isWhole = this.#depth === 1 && this.#isArray;
    this.#depth--;
    if (!isWhole) this.#put(byte, State.afterValue);
    else if (isEmpty) this.#state = State.afterValue;
    else this.#put(LINE_FEED, State.afterValue);
  }

  /** Between the tokens of a value spaces are kept, and line ends are not; around it nothing is. */
  #isSpace(byte: number): boolean {
    if (byte > SPACE) return false;
    if (byte === LINE_FEED || byte === CARRIAGE_RETURN) return true;
    if (byte !== SPACE && byte !== TAB) throw this.#invalid();
    const isWithin = this.#depth > (this.#isArray ? 1 : 0);
    if (isWithin) this.#json[this.#out++] = byte;
    return true;
  }

  #takeIf(isRight: boolean, byte: number, next: State): void {
    if (!isRight) throw this.#invalid();
    this.#put(byte, next);
  }

  #put(byte: number, next: State): void {
    this.#json[this.#out++] = byte;
    this.#state = next;
  }

  #invalid(): InvalidRequestError {
    return new InvalidRequestError('the body is not JSON');
  }
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

function isHexDigit(byte: number): boolean {
  const lower = byte | 0x20;
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
}

function stateAfterDigit(state: State, byte: number): State {
  if (state === State.minus) return byte === ZERO ? State.zero : State.integer;
  if (state === State.point) return State.fraction;
  return state === State.exponent || state === State.exponentSign ? State.exponentDigits : state;
}

/** Whether an exponent may follow. */
function isMantissaEnd(state: State): boolean {
  return state === State.zero || state === State.integer || state === State.fraction;
}

/** Whether a number may end. */
function isNumberEnd(state: State): boolean {
  return isMantissaEnd(state) || state === State.exponentDigits;
}
