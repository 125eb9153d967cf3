import fs from 'node:fs';

/**
 * This part of all descriptors is reserved for clients that are connected, whose files are to be opened, and the
 * server itself, …
 */
const RESERVED_PART = 4;

/** … at least so many, … */
const MIN_RESERVED = 32;

/** … and at most so many. */
const MAX_RESERVED = 1024;

/**
 * The first descriptor that is not for a new connection. The system assigns the
 * lowest that is free, so that a connection with this one or a higher one has come
 * when all others are in use.
 *
 * @param limit how many the process may have
 */
export function firstReservedDescriptor(limit: number): number {
  return limit - Math.min(Math.max(Math.floor(limit / RESERVED_PART), MIN_RESERVED), MAX_RESERVED);
}

/** How many descriptors are kept for other things than connections. */
const NO_CONNECTIONS = 256;

/**
 * How many connections are taken by default: half of the descriptors, since what is live needs one, too.
 *
 * @param limit how many the process may have
 */
export function connectionsWithin(limit: number): number {
  return Math.max(Math.floor(limit / 2) - NO_CONNECTIONS, Math.floor(limit / RESERVED_PART));
}

/** This part of all descriptors is, at most, for the files of streams to which nobody appends just now, … */
const STREAM_PART = 8;

/** … which are no more than so many. */
const MAX_STREAMS = 1000;

/**
 * How many streams may have their files open though nobody appends to them just now.
 *
 * @param limit how many descriptors the process may have
 */
export function openStreamsWithin(limit: number): number {
  return Math.max(1, Math.min(Math.floor(limit / STREAM_PART), MAX_STREAMS));
}

/** What a live resource has open: its file, its appender, a follower. */
const LIVE_RESOURCE = 3;

/** About what a server without clients has open. */
const OWN = 32;

/**
 * About how many live resources, with an appender and a follower each, a server has descriptors for.
 *
 * @param limit how many the process may have
 */
export function liveResourcesWithin(limit: number): number {
  return Math.max(0, Math.floor((firstReservedDescriptor(limit) - OWN) / LIVE_RESOURCE));
}

/**
 * How many descriptors the process may have; infinity where that is not known.
 * It is the hard limit: Node raises the soft one to it before it runs anything.
 */
export function descriptorLimit(): number {
  const limit = Number(limitOfLinux() ?? limitOfReport());
  return Number.isNaN(limit) ? Number.POSITIVE_INFINITY : limit;
}

function limitOfLinux(): string | undefined {
  try {
    return /^Max open files\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

function limitOfReport(): unknown {
  const report = process.report?.getReport() as
    | { userLimits?: { open_files?: { soft?: unknown } } }
    | undefined;
  return report?.userLimits?.open_files?.soft;
}
