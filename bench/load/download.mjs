import net from 'node:net';
import { whileProgressing } from './progress.mjs';
import { measureUsage } from './usage.mjs';
import { watchMemory } from './watch-memory.mjs';

const buffer = Buffer.alloc(1024 * 1024);

/**
 * Gets a file twice over one connection each, and times the second; with `warmUpPath` another one, of the same length,
 * beforehand.
 */
export async function download({ target, path, warmUpPath = path, fileBytes }) {
  await get(target, warmUpPath, fileBytes);
  const usage = measureUsage(target.pid);
  const memory = watchMemory(target.pid);
  try {
    await get(target, path, fileBytes);
  } finally {
    memory.stop();
  }
  return { ...usage(), bytes: fileBytes, serverPeakGrowthBytes: memory.peakGrowthBytes };
}

async function get({ port }, path, fileBytes) {
  let head = '';
  let headBytes = -1;
  let received = 0;
  let socket;
  const ended = new Promise((resolve, reject) => {
    socket = net.connect({
      port,
      host: '127.0.0.1',
      onread: {
        buffer,
        callback: (length, chunk) => {
          if (headBytes === -1) {
            head += chunk.toString('latin1', 0, length);
            const end = head.indexOf('\r\n\r\n');
            if (end !== -1) headBytes = end + 4;
          }
          received += length;
          return true;
        },
      },
    });
    socket.once('error', reject);
    socket.once('close', resolve);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
  });
  try {
    await whileProgressing(ended, () => received, `GET ${path}`);
  } finally {
    socket.destroy();
  }
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(`GET ${path}: ${head.slice(0, 40)}`);
  if (received - headBytes !== fileBytes) {
    throw new Error(`GET ${path}: ${received - headBytes} of ${fileBytes} bytes`);
  }
}
