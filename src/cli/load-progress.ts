import type { CommandIo } from './io/io.ts';

/**
 * Loads what shows progress on standard error; undefined where that is no
 * terminal that can show it. Nothing is loaded then: it takes a third of the start.
 */
export async function loadProgress(stderr: CommandIo['stderr']) {
  // ora would never come to an end of clearing lines of width 0.
  return stderr.isTTY && stderr.columns ? import('./progress.ts') : undefined;
}
