import type { LiveOverview } from '../../core/live-overview.ts';
import type { Reader } from '../../core/readers/reader.ts';
import type { Resource } from '../../core/resource.ts';
import type { Session } from '../../core/sessions/session.ts';

/** How many files are listed at most, … */
const MAX_RESOURCES = 10_000;

/** … and how many followers of each. */
const MAX_FOLLOWERS = 100;

/** How much is laid out at a time. */
const PIECE_LENGTH = 64 * 1024;

/**
 * The files to which somebody appends, or which somebody follows, as JSON, in pieces: who appends and since when, and
 * the followers with what they do not have yet.
 */
export function* listingOf(overview: LiveOverview): Generator<string, void, undefined> {
  let text = '{"resources":[';
  let count = 0;
  let omitted = 0;
  for (const { resource, session } of overview.resources()) {
    const isQuiet = session === undefined && (resource.feed?.readerCount ?? 0) === 0;
    if (isQuiet) continue;
    if (count === MAX_RESOURCES) {
      omitted++;
      continue;
    }
    text += `${count === 0 ? '' : ','}\n${JSON.stringify(entryOf(resource, session))}`;
    count++;
    if (text.length < PIECE_LENGTH) continue;
    yield text;
    text = '';
  }
  yield `${text}\n],"omitted":${omitted}}\n`;
}

function entryOf(resource: Resource, session: Session | undefined) {
  const { location, committed, feed } = resource;
  const followers: object[] = [];
  for (const reader of feed?.readers ?? []) {
    if (followers.length === MAX_FOLLOWERS) break;
    followers.push(followerOf(reader));
  }
  return {
    path: `/${location}`,
    size: committed,
    ...(session !== undefined && { appender: appenderOf(session) }),
    followerCount: feed?.readerCount ?? 0,
    followers,
  };
}

function appenderOf({ sinceMs, subject, transport, feed }: Session) {
  return {
    since: new Date(sinceMs).toISOString(),
    ...(subject !== undefined && { subject }),
    ...(transport !== undefined && { transport }),
    isWaitedFor: feed.isWaiting,
  };
}

function followerOf({ sink, position, feed }: Reader) {
  return { transport: sink.numbers.transport, position, lag: feed.committed - position };
}
