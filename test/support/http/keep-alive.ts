import { readFile } from 'node:fs/promises';

/** Whether {@link isKeptAlive} can tell. */
export const showsKeepAlive = process.platform === 'linux';

/** A line of the system's table: remote port, state `established`, and a timer that probes. */
const PROBED = /^\s*\d+: \S+ [\dA-F]+:(?<port>[\dA-F]{4}) 01 \S+ 02:/gm;

/** Whether TCP probes if the other machine is still there, on a connection to a port of this machine. */
export async function isKeptAlive(url: string): Promise<boolean> {
  const table = await readFile('/proc/net/tcp', 'utf8');
  const ports = [...table.matchAll(PROBED)].map(({ groups }) => Number.parseInt(groups?.port ?? '', 16));
  return ports.includes(Number(new URL(url).port));
}
