import { once } from 'node:events';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { follow } from '../../client/follow/follow.ts';
import { EXIT_FAILURE } from '../client-command.ts';
import { RETRY, ReconnectLog } from '../client-log.ts';
import { type CommandIo, exitCodeOfSignal, messageOf } from '../io/io.ts';
import type { AppendArguments } from './append-arguments.ts';
import { Tee } from './tee.ts';

/**
 * Reads what somebody else has appended, or appends at the moment, to its end, with a copy if one is wanted.
 *
 * @returns the exit code: 0 when it is whole
 */
export async function readInstead(
  { url, headers, token, tee, log }: AppendArguments,
  io: CommandIo,
): Promise<number> {
  log.write(`${url} is there already, so that nothing is asked for: reading it`);
  const reconnectLog = new ReconnectLog(log);
  const readable = follow(url, {
    headers,
    token,
    retry: RETRY,
    onReconnect: (event) => reconnectLog.lost(event),
    onReconnected: () => reconnectLog.reconnected(),
  });
  const copy = tee ? new Tee(io.stdout, log) : undefined;
  const writable = copy ?? new Writable({ write: (_chunk, _encoding, callback) => callback() });
  let stopSignal: NodeJS.Signals | undefined;
  const restoreSignals = io.onStopSignal((signal) => {
    stopSignal = signal;
    copy?.hurry();
    readable.destroy(new Error('interrupted'));
  });
  try {
    for await (const chunk of readable) if (!writable.write(chunk)) await once(writable, 'drain');
    log.verbose(`finished reading ${url}`);
  } catch (error) {
    log.write(`failed to read ${url}: ${messageOf(error)}`);
    return stopSignal === undefined ? EXIT_FAILURE : exitCodeOfSignal(stopSignal);
  } finally {
    await finished(writable.end());
    restoreSignals();
  }
  return copy?.hasFailed ? EXIT_FAILURE : 0;
}
