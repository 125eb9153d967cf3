/** The descriptor of the first socket that is handed over, after those of standard input, output and error. */
const FIRST_DESCRIPTOR = 3;

/** What the environment says of listening sockets that somebody else has opened, and holds. */
export interface HeldSockets {
  /** Their descriptors; none if they are for another process, or there are none. */
  descriptors: readonly number[];
  /** The process for which they are, if it is another one: a shell or npm, say, that has started this one. */
  meantFor?: number;
}

/**
 * Reads what systemd and its kind say of sockets (`LISTEN_FDS`, `LISTEN_PID`), and removes it from the environment, so
 * that it is not inherited.
 */
export function takeHeldSockets(env: NodeJS.ProcessEnv = process.env, pid = process.pid): HeldSockets {
  const { LISTEN_FDS: count = '', LISTEN_PID: owner = '' } = env;
  for (const name of ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES']) delete env[name];
  if (!/^[1-9]\d{0,3}$/.test(count)) return { descriptors: [] };
  if (Number(owner) !== pid) return { descriptors: [], meantFor: Number(owner) };
  return { descriptors: Array.from({ length: Number(count) }, (_, i) => FIRST_DESCRIPTOR + i) };
}
