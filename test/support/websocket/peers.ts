import { once } from 'node:events';
import WebSocket from 'ws';

/** A plain WebSocket client that follows and keeps what it gets. */
export class Peer {
  readonly websocket: WebSocket;
  readonly messages: Buffer[] = [];
  closeCode: number | undefined;

  private constructor(websocket: WebSocket) {
    this.websocket = websocket;
    websocket.on('message', (message: Buffer) => this.messages.push(message));
    websocket.on('close', (code) => {
      this.closeCode = code;
    });
    websocket.on('error', () => {});
  }

  /** Connects, and resolves when the server has upgraded. */
  static async connect(url: string, verb: 'APPEND' | 'FOLLOW'): Promise<Peer> {
    const websocket = new WebSocket(url, { headers: { 'X-Verb': verb }, skipUTF8Validation: true });
    const peer = new Peer(websocket);
    await once(websocket, 'open');
    return peer;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.messages);
  }

  get byteCount(): number {
    return this.messages.reduce((sum, { length }) => sum + length, 0);
  }

  /** Sends one text message, whatever the bytes are; resolves when the system has taken it. */
  send(bytes: Buffer | string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.websocket.send(bytes, { binary: false }, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Ends cleanly and waits for the answer. */
  async end(): Promise<void> {
    this.websocket.close(1000);
    if (this.closeCode === undefined) await once(this.websocket, 'close');
  }
}
