import type { AppendRecord } from '../../storage/records/file-record.ts';
import type { AppendFile } from '../../storage/stored-file.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { LiveResources } from '../live-resources.ts';
import type { LocalLog } from '../log/local-log.ts';
import type { Numbers } from '../numbers.ts';
import type { Feeds } from '../readers/feeds.ts';
import type { Resource } from '../resource.ts';
import type { FileWatch } from '../watch/file-watch.ts';
import type { AppendHistory } from './append-history.ts';
import type { LiveNames } from './live-names.ts';

/** What all sessions share. */
export interface SessionContext {
  log: LocalLog;
  /** How long a session waits for an appender that was lost, in milliseconds. */
  graceMs: number;
  history: AppendHistory;
  live: LiveResources;
  /** Says under which names they append. */
  liveNames: LiveNames;
  feeds: Feeds;
  watch: FileWatch;
  numbers: Numbers;
}

/** What one session is about. */
export interface SessionSubject {
  /** The name under which the file was opened. */
  path: ResourcePath;
  /** Claimed for the session, which releases it. */
  resource: Resource;
  /** The open file, which the session closes. */
  file: AppendFile;
  /** How many bytes of the file count. */
  size: number;
  /** What is remembered of the append. */
  append: AppendRecord;
  /** The append that it goes on with, if that had ended. */
  before: AppendRecord | undefined;
}
