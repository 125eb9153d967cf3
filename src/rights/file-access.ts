import { stat } from 'node:fs/promises';
import { UnauthorizedError } from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import type { Access, Right, Subject } from './access.ts';
import { parseAuthFile, readAuthFile } from './auth-file.ts';
import { Rules } from './rules.ts';
import { hashOfToken, isToken } from './token.ts';

/** How often to look whether the file has changed. Watches miss what changes a link some levels above, as mounts do. */
const LOOK_MS = 1000;

/** Where it is told what becomes of the file. */
interface Log {
  info(detail: object, message: string): void;
  error(detail: object, message: string): void;
}

/** Whoever brings a token, or none. */
class FileSubject implements Subject {
  readonly name: string | undefined;
  readonly expiresMs: number;
  /** That of its token. */
  readonly hash: string | undefined;
  readonly #rules: readonly Rules[];

  /** @param rules what one of them allows is allowed */
  constructor(
    name: string | undefined,
    hash: string | undefined,
    expiresMs: number,
    rules: readonly Rules[],
  ) {
    this.name = name;
    this.hash = hash;
    this.expiresMs = expiresMs;
    this.#rules = rules;
  }

  may(right: Right, path: ResourcePath): boolean {
    return this.#rules.some((rules) => rules.allow(right, path));
  }
}

/** The rules of a file at some moment. */
class Subjects {
  readonly anonymous: FileSubject;
  /** By the hashes of their tokens: how long a look-up takes tells nothing, since nobody can choose hashes. */
  readonly #known: ReadonlyMap<string, FileSubject>;
  /** Those who have a name, be they expired. */
  readonly #named: ReadonlyMap<string | undefined, readonly FileSubject[]>;

  private constructor(anonymous: FileSubject, known: ReadonlyMap<string, FileSubject>) {
    this.anonymous = anonymous;
    this.#known = known;
    const named = new Map<string | undefined, FileSubject[]>();
    for (const subject of [anonymous, ...known.values()]) {
      const { name } = subject;
      named.set(name, [...(named.get(name) ?? []), subject]);
    }
    this.#named = named;
  }

  /** @throws {InvalidAuthFileError} and the system's error when it cannot be read */
  static async read(file: string): Promise<Subjects> {
    const { anonymous = [], tokens = [] } = await parseAuthFile(await readAuthFile(file), file);
    const forAll = new Rules(anonymous);
    const known = tokens.map(({ name, hash, expires, rules }) => {
      const expiresMs = expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires);
      return [hash, new FileSubject(`token:${name}`, hash, expiresMs, [new Rules(rules), forAll])] as const;
    });
    return new Subjects(
      new FileSubject(undefined, undefined, Number.POSITIVE_INFINITY, [forAll]),
      new Map(known),
    );
  }

  named(name: string | undefined): readonly FileSubject[] {
    return this.#named.get(name) ?? [];
  }

  /** Undefined when there is none, or it has expired. */
  withHash(hash: string): FileSubject | undefined {
    const subject = this.#known.get(hash);
    return subject !== undefined && Date.now() < subject.expiresMs ? subject : undefined;
  }
}

/**
 * The rights that a file gives. It is read again when it has changed, or {@link reload} is called; while it is broken,
 * the rules before that stay, and it is told where it is broken.
 */
export class FileAccess implements Access {
  readonly #file: string;
  readonly #log: Log;
  readonly #listeners = new Set<() => void>();
  readonly #timer: NodeJS.Timeout;
  #subjects: Subjects;
  /** What is known of the file since it was read last, be it broken or not. */
  #identity: string;
  #isCurrent = true;
  #isLooking = false;
  /** The reading under way, or the last one: there is one at a time. */
  #reading: Promise<void> = Promise.resolve();

  private constructor(file: string, log: Log, subjects: Subjects, identity: string, lookMs: number) {
    this.#file = file;
    this.#log = log;
    this.#subjects = subjects;
    this.#identity = identity;
    this.#timer = setInterval(() => void this.#look(), lookMs).unref();
  }

  /**
   * Reads the file. {@link close} ends looking at it.
   *
   * @param lookMs how often to look whether it has changed
   * @throws {InvalidAuthFileError} when it is not private, or broken: that says where
   * @throws the system's error when it cannot be read
   */
  static async open(file: string, log: Log, lookMs = LOOK_MS): Promise<FileAccess> {
    // Before it is read: what changes meanwhile is seen at the next look.
    const identity = await identityAt(file);
    return new FileAccess(file, log, await Subjects.read(file), identity, lookMs);
  }

  /** Whether what the file says now is what counts: not while it is broken. */
  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  subjectOf(token: string | undefined): Subject {
    if (token === undefined) return this.#subjects.anonymous;
    const subject = isToken(token) ? this.#subjects.withHash(hashOfToken(token)) : undefined;
    // Which of them it is, is nothing for those who guess.
    if (subject === undefined) throw new UnauthorizedError('the token is unknown, mistyped or expired');
    return subject;
  }

  renewed(subject: Subject): Subject | undefined {
    if (!(subject instanceof FileSubject)) return undefined;
    return subject.hash === undefined ? this.#subjects.anonymous : this.#subjects.withHash(subject.hash);
  }

  mayStill(name: string | undefined, right: Right, path: ResourcePath): boolean {
    return this.#subjects.named(name).some((subject) => subject.may(right, path));
  }

  onChange(listener: () => void): () => void {
    // One for each call, whatever is given.
    const call = () => listener();
    this.#listeners.add(call);
    return () => void this.#listeners.delete(call);
  }

  /** Reads the file again, whether it has changed or not. What is wrong with it is told in the log. */
  reload(): Promise<void> {
    return this.#oneByOne(() => this.#read());
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #oneByOne(call: () => Promise<void>): Promise<void> {
    // What went wrong before is told to whom that was for.
    this.#reading = this.#reading.then(call, call);
    return this.#reading;
  }

  async #look(): Promise<void> {
    // A file system that does not answer gets no second question.
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.#oneByOne(async () => {
        if ((await identityAt(this.#file)) !== this.#identity) await this.#read();
      });
    } finally {
      this.#isLooking = false;
    }
  }

  async #read(): Promise<void> {
    const file = this.#file;
    this.#identity = await identityAt(file);
    try {
      this.#subjects = await Subjects.read(file);
      this.#isCurrent = true;
    } catch (error) {
      this.#isCurrent = false;
      this.#log.error(
        { file, err: error },
        'the rights are as they were: the file that gives them is broken',
      );
      return;
    }
    this.#log.info({ file }, 'the rights were read again');
    for (const listener of this.#listeners) listener();
  }
}

/** What changes when the file to which all links lead is another one, or is written or given to others. */
async function identityAt(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join();
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
