import { Worker } from 'node:worker_threads';
import type { FileState } from '../file-io.ts';

/**
 * What the thread does: writes a batch to the log, syncs it, and only then
 * writes the parts of it that belong to files, those of one file together, and
 * looks what became of it. As text, so that it runs from wherever the package
 * was bundled to.
 */
const THREAD = `
  const fs = require('node:fs');
  const { parentPort } = require('node:worker_threads');
  const failureOf = ({ code, message }) => ({ code, message });
  const writeAll = (fd, buffers) => {
    let rest = buffers;
    while (rest.length > 0) {
      let written = fs.writevSync(fd, rest);
      const first = rest.findIndex(({ length }) => (written -= length) < 0);
      rest = first === -1 ? [] : [rest[first].subarray(rest[first].length + written), ...rest.slice(first + 1)];
    }
  };
  const write = ({ fd, parts }, batch) => {
    try {
      writeAll(fd, parts.map(([start, end]) => batch.subarray(start, end)));
      const { size, nlink } = fs.fstatSync(fd);
      return { state: { size, isLinked: nlink > 0 } };
    } catch (error) {
      return { error: failureOf(error) };
    }
  };
  parentPort.on('message', ({ log, batch, isDurable, writes }) => {
    try {
      writeAll(log, [batch]);
      if (isDurable) fs.fdatasyncSync(log);
    } catch (error) {
      parentPort.postMessage({ error: failureOf(error) });
      return;
    }
    parentPort.postMessage({ outcomes: writes.map((each) => write(each, batch)) });
  });
`;

/** Parts of a batch that go to one file, at its end. */
export interface FileWrite {
  fd: number;
  /** Where they are in the batch: from … up to but not including … */
  parts: [start: number, end: number][];
}

/** What became of a file that was written: what it is like afterwards, or what went wrong. */
export type WriteOutcome = { state: FileState; error?: undefined } | { error: unknown; state?: undefined };

/** A batch for the log. */
export interface Batch {
  /** The log, open to be written at its end. */
  log: number;
  batch: Uint8Array<ArrayBuffer>;
  /** Whether the log must survive a loss of power before a file is written. */
  isDurable: boolean;
  writes: FileWrite[];
}

/** What an error is between threads: a copy of it would come without its code. */
interface Failure {
  code: string | undefined;
  message: string;
}

interface Answer {
  /** Set when the log was not written. */
  error?: Failure;
  outcomes?: ({ state: FileState } | { error: Failure })[];
}

/**
 * A thread that commits batches, one after the other: one way there and back
 * for the log and all files, where Node's own threads need several for each.
 */
export class CommitThread {
  #thread: Worker | undefined;

  /**
   * Commits a batch, which is given away. Only when the one before has settled.
   *
   * @returns what became of the files, in the order of `writes`
   * @throws what went wrong with the log; no file was written then
   */
  commit(batch: Batch): Promise<WriteOutcome[]> {
    this.#thread ??= new Worker(THREAD, { eval: true });
    const thread = this.#thread;
    // Only while it has something to do it keeps the process alive.
    thread.ref();
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        this.#thread = undefined;
        reject(error);
      };
      const exit = () => fail(new Error('the thread that commits has ended'));
      thread.once('error', fail).once('exit', exit);
      thread.once('message', ({ error, outcomes = [] }: Answer) => {
        thread.off('error', fail).off('exit', exit);
        thread.unref();
        if (error === undefined) resolve(outcomes.map(outcomeOf));
        else reject(errorOf(error));
      });
      thread.postMessage(batch, [batch.batch.buffer]);
    });
  }

  /** Ends the thread; nothing may be under way. */
  async close(): Promise<void> {
    await this.#thread?.terminate();
    this.#thread = undefined;
  }
}

function outcomeOf(outcome: { state: FileState } | { error: Failure }): WriteOutcome {
  return 'state' in outcome ? outcome : { error: errorOf(outcome.error) };
}

function errorOf({ code, message }: Failure): Error {
  return Object.assign(new Error(message), { code });
}
