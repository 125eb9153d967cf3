import { createRequire } from 'node:module';
import path from 'node:path';
import Imported from 'ws';

/**
 * The WebSocket of `ws`, whatever the runtime is. What Bun has in place of that
 * package has no socket to take the bytes from; a path leads to the package itself.
 */
export const WebSocket: typeof Imported = 'bun' in process.versions ? packaged() : Imported;
export type WebSocket = Imported;

function packaged(): typeof Imported {
  const require = createRequire(import.meta.url);
  return require(path.join(path.dirname(require.resolve('ws/package.json')), 'index.js'));
}
