import net from 'node:net';

const CONNECT_TIMEOUT_MS = 15_000;

/** All connections read into this one: what came is counted at once and forgotten. */
const sharedBuffer = Buffer.alloc(256 * 1024);

/**
 * Opens a WebSocket by hand: what comes after the upgrade is passed on as raw
 * bytes, which are only good until `onBytes` returns.
 *
 * @param {number} port
 * @param {string} target path and query
 * @param {(chunk: Buffer, length: number) => void} onBytes gets the first `length` bytes of `chunk`
 * @returns {Promise<net.Socket>}
 */
export function openWebSocket(port, target, onBytes) {
  return new Promise((resolve, reject) => {
    let head = '';
    let upgraded = false;
    const socket = net.connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: sharedBuffer,
        callback: (length, chunk) => {
          if (upgraded) onBytes(chunk, length);
          else takeHead(chunk.subarray(0, length));
          return true;
        },
      },
    });
    const fail = (error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => fail(new Error(`${target}: no answer after ${CONNECT_TIMEOUT_MS} ms`)),
      CONNECT_TIMEOUT_MS,
    );
    const onClose = () => fail(new Error(`${target}: closed before the upgrade`));
    socket.once('error', fail);
    socket.once('close', onClose);

    function takeHead(bytes) {
      head += bytes.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) return;
      if (!head.startsWith('HTTP/1.1 101')) {
        fail(new Error(`${target}: not upgraded: ${head.slice(0, head.indexOf('\r\n'))}`));
        return;
      }
      clearTimeout(timer);
      upgraded = true;
      socket.off('error', fail);
      socket.off('close', onClose);
      // A connection that breaks is found by the bytes that are missing.
      socket.on('error', () => socket.destroy());
      const rest = Buffer.from(head.slice(end + 4), 'latin1');
      if (rest.length > 0) onBytes(rest, rest.length);
      resolve(socket);
    }

    socket.write(
      `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
  });
}
