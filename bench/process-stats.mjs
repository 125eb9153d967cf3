// What a process uses, as Linux tells it; elsewhere the figures are undefined.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Linux reports processor time to programs in this unit on every architecture. */
const TICKS_PER_SECOND = 100;

/** Seconds of processor time, user and system, that the process has used so far. */
export function cpuSeconds(pid) {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name in front may hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory of the process in bytes. */
export function residentBytes(pid) {
  const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/** Bytes that the process has written so far, to files and sockets. */
export function writtenBytes(pid) {
  const bytes = /^wchar: (\d+)/m.exec(read(`/proc/${pid}/io`) ?? '')?.[1];
  return bytes === undefined ? undefined : Number(bytes);
}

/** How many sockets the process has open, those on which it listens among them. */
export function openSockets(pid) {
  try {
    const directory = `/proc/${pid}/fd`;
    return readdirSync(directory).filter((name) => isSocket(`${directory}/${name}`)).length;
  } catch {
    return undefined;
  }
}

/** How many files and sockets this process, and so each child of it, may have open. */
export function openFilesLimit() {
  const limit = /^Max open files\s+(\d+)/m.exec(read('/proc/self/limits') ?? '')?.[1];
  return limit === undefined ? 1024 : Number(limit);
}

function isSocket(path) {
  try {
    return readlinkSync(path).startsWith('socket:');
  } catch {
    // It was closed meanwhile.
    return false;
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
