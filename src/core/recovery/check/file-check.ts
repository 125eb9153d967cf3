import type { FileStat } from '../../../storage/file-io.ts';
import { setAside } from '../../../storage/records/aside.ts';
import { type FileRecord, isDamaged } from '../../../storage/records/file-record.ts';
import type { RecordDraft } from '../../../storage/records/record-draft.ts';
import { DURABLE } from '../../../storage/records/records.ts';
import { type CopyState, isCopy, type StreamState } from '../../../storage/records/stream-state.ts';
import type { FoundName } from '../../../storage/root/walk.ts';
import { reasonOf } from '../../../storage/storage-failure.ts';
import { ResourceNotFoundError, StreamGoneError } from '../../../wire/errors.ts';
import { ResourcePath } from '../../../wire/resource-path.ts';
import type { Core } from '../../core.ts';
import { Permit } from '../../permit.ts';
import { expiryMs } from '../../streams/stream-expiry.ts';
import { isJsonType } from '../../streams/stream-type.ts';
import type { Findings } from './findings.ts';
import { firstBadLine } from './json-lines.ts';

/** A file of which something is remembered. */
interface Subject {
  path: ResourcePath;
  location: string;
  stat: FileStat;
  record: FileRecord;
}

/** Checks files, one after the other, against what is remembered of them. */
export class FileCheck {
  readonly #core: Core;
  readonly #findings: Findings;
  /** Fingerprints of the files of which something is remembered. */
  readonly known = new Set<string>();
  /** Fingerprints of those that streams were forked from. */
  readonly sources = new Set<string>();
  /** Those that have expired. */
  readonly #expired: Subject[] = [];
  #count = 0;
  #copyCount = 0;
  #partCount = 0;

  constructor(core: Core, findings: Findings) {
    this.#core = core;
    this.#findings = findings;
  }

  /** How many files there are. */
  get count(): number {
    return this.#count;
  }

  /** How many are copies of what is on upstreams. */
  get copyCount(): number {
    return this.#copyCount;
  }

  /** How many of the copies are only a part, as far as is known. */
  get partCount(): number {
    return this.#partCount;
  }

  /** Checks a file. Never rejects. */
  async check(found: FoundName): Promise<void> {
    const where = found.location ?? found.name.toString();
    try {
      const stat = await this.#core.root.statFound(found);
      if (stat === undefined) return;
      this.#count++;
      const { fingerprint } = stat;
      // It may have several names.
      if (this.known.has(fingerprint)) return;
      this.known.add(fingerprint);
      const record = this.#core.records.get(fingerprint);
      if (record === undefined) {
        this.known.delete(fingerprint);
        return;
      }
      const { location } = found;
      const path = location === undefined ? undefined : parse(location);
      if (location === undefined || path === undefined) return;
      await this.#checkSubject({ path, location, stat, record });
    } catch (error) {
      this.#findings.bad(where, `cannot be checked (${reasonOf(error)})`);
    }
  }

  /** Deletes what has expired, as the server would. */
  async deleteExpired(): Promise<void> {
    const { resources } = this.#core;
    const findings = this.#findings;
    for (const { path, location, stat } of this.#expired) {
      try {
        await (await resources.open(Permit.own(path))).close();
      } catch (error) {
        if (error instanceof ResourceNotFoundError || error instanceof StreamGoneError) {
          this.known.delete(stat.fingerprint);
          findings.repaired(location, 'had outlived its time; deleted');
        } else findings.bad(location, `has outlived its time and cannot be deleted (${reasonOf(error)})`);
      }
    }
  }

  async #checkSubject(subject: Subject): Promise<void> {
    const { records, store, quarantine } = this.#core;
    const { stat, record } = subject;
    // What the journal has of it is to be replayed before anything is called too much or too little.
    if (quarantine.has(stat.fingerprint)) return;
    if (isDamaged(record)) {
      await this.#replaceDamaged(subject);
      return;
    }
    await this.#checkSize(subject);
    const checked = records.get(stat.fingerprint);
    if (isOfCopy(checked)) this.#countCopy(checked);
    const { stream, isForked } = checked ?? {};
    if (isForked) this.sources.add(stat.fingerprint);
    if (stream === undefined) return;
    const { state, accessedMs } = await store.read(stat);
    await this.#checkSurplus(subject, state.size);
    await this.#checkExpiry(subject, expiryMs(state, accessedMs));
    if (isJsonType(stream.contentType)) await this.#checkJson(subject, state.size);
  }

  /** The file is no stream any more, and nobody may take what is there for the whole of an append. */
  async #replaceDamaged({ location, stat }: Subject): Promise<void> {
    const { records } = this.#core;
    const findings = this.#findings;
    const { fingerprint, size } = stat;
    const aside = await records.copyAside(fingerprint);
    const append = { start: 0, state: 'interrupted', end: size } as const;
    await records.write((draft) => {
      draft.delete(fingerprint);
      draft.set(fingerprint, { path: location, append });
    }, DURABLE);
    findings.repaired(location, `what was remembered of it is damaged; moved to ${aside}`);
  }

  #countCopy({ append, stream: { copy } }: FileRecord & { stream: { copy: CopyState } }): void {
    this.#copyCount++;
    // Of what is not atomic `interrupted` is how it has ended there.
    const isWhole =
      append?.state === 'finished' || (append?.state === 'interrupted' && copy.isAtomic !== true);
    if (!isWhole) this.#partCount++;
  }

  async #checkSize({ location, stat, record }: Subject): Promise<void> {
    const { fingerprint, size } = stat;
    const { append, stream } = record;
    const { start = 0, end = 0 } = append ?? {};
    // What is remembered of a closed stream may have been put right before.
    const expected = stream?.closed === true ? stream.size : Math.max(stream?.size ?? 0, start, end);
    if (size >= expected) return;
    const missing = `${expected - size} bytes are missing at its end`;
    if (isOfCopy(record)) {
      await this.#core.records.write((draft) => draft.set(fingerprint, partOf(record, size)), DURABLE);
      this.#findings.repaired(
        location,
        `${missing}; it is a copy, and the rest is fetched when it is asked for`,
      );
      return;
    }
    const shorter: FileRecord = {
      ...record,
      ...(stream && { stream: { ...stream, size: Math.min(stream.size, size) } }),
      append: {
        ...append,
        start: Math.min(start, size),
        state: 'interrupted',
        // Closed it would count as finished, if it did not end further on: nothing will be appended.
        end: stream?.closed === true ? expected : size,
      },
    };
    await this.#core.records.write((draft) => draft.set(fingerprint, shorter), DURABLE);
    this.#findings.bad(location, `${missing}; it is remembered to end at ${size}, interrupted`);
  }

  /** What no producer knows to have brought it will bring again. */
  async #checkSurplus({ location, stat }: Subject, size: number): Promise<void> {
    const { root } = this.#core;
    const findings = this.#findings;
    if (stat.size <= size) return;
    const file = await root.openRepair(location);
    try {
      const aside = await setAside(root, file, size);
      findings.repaired(location, `${stat.size - size} bytes of which no producer knows; moved to ${aside}`);
    } finally {
      await file.close();
    }
  }

  async #checkExpiry(subject: Subject, endMs: number | undefined): Promise<void> {
    if (endMs === undefined) return;
    const { records } = this.#core;
    const findings = this.#findings;
    const { location, stat, record } = subject;
    if (endMs <= Date.now()) this.#expired.push(subject);
    else if (record.dueMs === undefined) {
      const { fingerprint } = stat;
      const note = (draft: RecordDraft) => {
        const before = draft.get(fingerprint);
        if (before !== undefined) draft.set(fingerprint, { ...before, path: location, dueMs: endMs });
      };
      await records.write(note, DURABLE);
      findings.repaired(location, 'that it is to be deleted in time was not noted; noted');
    }
  }

  async #checkJson({ path, location }: Subject, size: number): Promise<void> {
    const file = await this.#core.root.openRead(path);
    try {
      const position = await firstBadLine(file, size);
      if (position === undefined) return;
      this.#findings.bad(
        location,
        `a stream of JSON values, and the line at ${position} is none; left as it is`,
      );
    } finally {
      await file.close();
    }
  }
}

/** Whether what is remembered of a file is that of a copy. */
function isOfCopy(
  record: FileRecord | undefined,
): record is FileRecord & { stream: StreamState & { copy: CopyState } } {
  return isCopy(record?.stream);
}

/** What is remembered of a copy of which only so much is here: it has not ended. */
function partOf(record: FileRecord & { stream: StreamState }, size: number): FileRecord {
  const { closed: _closed, closedBy: _closedBy, ...stream } = record.stream;
  const { session, start = 0 } = record.append ?? {};
  return {
    ...record,
    stream: { ...stream, size: Math.min(stream.size, size) },
    append: { ...(session !== undefined && { session }), start: Math.min(start, size), state: 'open' },
  };
}

function parse(location: string): ResourcePath | undefined {
  try {
    return ResourcePath.parse(location);
  } catch {
    return undefined;
  }
}
