import { Busboy, type BusboyFileStream, type BusboyHeaders, type BusboyInstance } from '@fastify/busboy';
import type { FastifyBaseLogger, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { Permit } from '../../core/permit.ts';
import {
  type HttpfstreamError,
  InvalidPathError,
  InvalidRequestError,
  PathConflictError,
  PayloadTooLargeError,
  ServerClosingError,
} from '../../wire/errors.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { problemOf } from '../failure.ts';
import type { BodyReader, BodySource } from '../request/request-body.ts';
import { assertNotReserved } from '../request/request-target.ts';
import { type Admission, admissionOf, type Withdrawal } from '../rights/admission.ts';
import { type AppendSummary, HttpAppend } from './append.ts';
import { MultipartPart } from './multipart-part.ts';

const MAX_PARTS = 1000;

/** Fields are dropped; busboy buffers each before that. */
const LIMITS = { parts: MAX_PARTS, fieldSize: 1024, headerPairs: 32, headerSize: 16 * 1024 };

/** Bytes that busboy is given at a time, … */
const PIECE_BYTES = 64 * 1024;

/**
 * … and it may buffer more than that: a skipped part whose buffer is full at its end would block the next one for
 * ever.
 */
const FILE_HIGH_WATER_MARK_BYTES = 2 * PIECE_BYTES;

/** What became of one part. */
export type PartAnswer =
  | ({ name: string } & AppendSummary)
  | { name: string; status: number; code: string; detail: string };

/** Appends the files of a form to those of a directory, one after the other, as they come. */
export class MultipartAppend implements BodyReader {
  readonly #core: Core;
  readonly #directory: Permit<'form'>;
  /** Whether the request says so. */
  readonly #isSlashed: boolean;
  readonly #admission: Admission;
  readonly #log: FastifyBaseLogger;
  readonly #busboy: BusboyInstance;
  readonly #answers: PartAnswer[] = [];
  #body: BodySource | undefined;
  /** The one whose bytes are coming; those before it are whole. */
  #part: MultipartPart | undefined;
  #append: HttpAppend | undefined;
  /** How many parts have begun and are not yet stored. */
  #openCount = 0;
  /** Settles when all that have begun are. */
  #stored: Promise<void> = Promise.resolve();
  #firstFailure: number | undefined;
  #hasMade = false;
  #isParsed = false;
  #hasEnded = false;
  #isCut = false;
  #failure: HttpfstreamError | undefined;
  #settle: () => void = () => undefined;
  readonly #over = new Promise<void>((resolve) => {
    this.#settle = resolve;
  });

  /** @throws {InvalidRequestError} when the headers do not say how the parts are told apart */
  constructor(core: Core, directory: Permit<'form'>, isSlashed: boolean, request: FastifyRequest) {
    const { headers, log } = request;
    this.#core = core;
    this.#directory = directory;
    this.#isSlashed = isSlashed;
    this.#admission = admissionOf(request);
    this.#log = log;
    try {
      this.#busboy = Busboy({
        headers: headers as BusboyHeaders,
        preservePath: true,
        fileHwm: FILE_HIGH_WATER_MARK_BYTES,
        limits: LIMITS,
      });
    } catch (cause) {
      throw new InvalidRequestError('the Content-Type has no proper boundary', { cause });
    }
    this.#busboy.on('file', (_field, stream, filename) => this.#begin(stream, filename ?? ''));
    this.#busboy.on('partsLimit', () => {
      this.#part?.succeed();
      this.failed(new PayloadTooLargeError(`the form has more than ${MAX_PARTS} parts`));
    });
    this.#busboy.on('error', (cause) =>
      this.failed(new InvalidRequestError('the body is not a proper form', { cause })),
    );
    this.#busboy.on('drain', () => this.#goOn());
    this.#busboy.on('finish', () => {
      this.#isParsed = true;
      this.#checkEnd();
    });
  }

  /**
   * Checks that files can be stored there, before anything is taken.
   *
   * @throws {PathConflictError} when a file is at the path
   * @throws {InvalidRequestError} when nothing is, and the path does not end in a slash
   */
  async assertDirectory(): Promise<void> {
    const kind = await this.#core.directories.kindAt(this.#directory);
    if (kind === undefined && !this.#isSlashed) {
      throw new InvalidRequestError('a form is appended to a directory: its URL ends in /');
    }
    if (kind !== undefined && kind !== 'directory') {
      throw new PathConflictError('a form is appended to a directory, not to a file');
    }
  }

  /**
   * Appends the files that come with the body.
   *
   * @returns what became of each, and the status that says it of all; undefined when nobody is there any more
   * @throws {InvalidRequestError} when there is none
   */
  async append(body: BodySource): Promise<{ status: number; parts: readonly PartAnswer[] } | undefined> {
    this.#body = body;
    body.read(this);
    await this.#over;
    if (!this.#hasEnded) body.discard();
    await this.#stored;
    if (this.#isCut) return undefined;
    if (this.#failure !== undefined && this.#firstFailure === undefined) {
      if (this.#answers.length === 0) throw this.#failure;
      this.#refuse('', this.#failure);
    }
    if (this.#answers.length === 0) throw new InvalidRequestError('the form has no files');
    return { status: this.#firstFailure ?? (this.#hasMade ? 201 : 200), parts: this.#answers };
  }

  take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      this.#busboy.write(bytes.subarray(at, at + PIECE_BYTES));
    }
    if (this.#isBusy) this.#body?.pause();
  }

  ended(): void {
    this.#hasEnded = true;
    this.#busboy.end();
    this.#checkEnd();
  }

  failed(error: HttpfstreamError): void {
    this.#failure ??= error;
    this.#part?.fail(error);
    this.#settle();
  }

  cut(): void {
    this.#isCut = true;
    this.#part?.cut();
    this.#settle();
  }

  /** Ends it because its client may not go on. */
  withdraw(withdrawal: Withdrawal): void {
    this.#append?.withdraw(withdrawal);
    this.failed(withdrawal.error);
  }

  /** Ends it because the server closes. */
  shutDown(): void {
    this.#append?.shutDown();
    this.failed(new ServerClosingError('the server is shutting down'));
  }

  #checkEnd(): void {
    if (this.#hasEnded && this.#isParsed) this.#settle();
  }

  /** Parts that wait for one before them are in memory, so there must not be many. */
  get #isBusy(): boolean {
    return this.#busboy.writableNeedDrain || this.#openCount > 1;
  }

  #goOn(): void {
    if (!this.#isBusy && !this.#hasEnded) this.#body?.resume();
  }

  #begin(stream: BusboyFileStream, filename: string): void {
    const part = new MultipartPart(stream);
    this.#part?.succeed();
    this.#part = part;
    this.#openCount++;
    this.#stored = this.#stored.then(async () => {
      await this.#store(part, filename);
      this.#openCount--;
      this.#goOn();
    });
  }

  /** Never rejects. */
  async #store(part: MultipartPart, filename: string): Promise<void> {
    try {
      const name = partName(filename);
      const file = ResourcePath.parse(`${this.#directory.path.key}/${name}`);
      assertNotReserved(file);
      await this.#admission.ask('append', file);
      const append = new HttpAppend(this.#core, this.#admission.require('append', file), this.#log, 'form');
      await append.open({});
      this.#append = append;
      const appended = await append.append(part);
      this.#hasMade ||= append.isNew;
      if (appended !== undefined) this.#answers.push({ name, ...appended });
    } catch (error) {
      part.discard();
      this.#refuse(filename, error as Error);
    } finally {
      this.#append = undefined;
    }
  }

  #refuse(name: string, error: Error): void {
    const { status, code, detail } = problemOf(error);
    this.#firstFailure ??= status;
    this.#answers.push({ name, status, code, detail });
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

const REPLACEMENT_CHARACTER = '\ufffd';

/**
 * The name under which a part of a form is stored: the last segment of the path
 * that the client sent, in the way of its own system.
 *
 * @throws {InvalidPathError} when nothing is left of it, it is not UTF-8, or it names no file
 */
export function partName(filename: string): string {
  const name = filename.slice(Math.max(filename.lastIndexOf('/'), filename.lastIndexOf('\\')) + 1);
  if (name === '') throw new InvalidPathError('a part of the form has no file name');
  // What cannot be decoded is replaced by that: several names would be one.
  if (name.includes(REPLACEMENT_CHARACTER)) throw new InvalidPathError('the file name is not UTF-8');
  if (CONTROL_CHARACTER.test(name)) throw new InvalidPathError('the file name has a control character');
  if (name === '.' || name === '..') throw new InvalidPathError(`${name} is not the name of a file`);
  return name;
}
