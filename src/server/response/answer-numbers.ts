import type { Server } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { Histogram, ReadNumbers } from '../../core/numbers.ts';
import { ClientSocket } from '../node/connections/client-socket.ts';

/** One for each server, however often the plugin is mounted on it. */
const ofServer = new WeakMap<Server, AnswerNumbers>();

/** What is counted of answers. */
export class AnswerNumbers {
  /** What is there, and is sent as it is. */
  readonly files = new ReadNumbers('file');
  /** From a request until its answer begins. */
  readonly firstByte = { file: new Histogram(), stream: new Histogram(), handshake: new Histogram() };

  /** Those of the server to which a request has come. */
  static of({ server }: FastifyRequest): AnswerNumbers {
    return AnswerNumbers.ofServer(server.server);
  }

  /** Those of a server, made by the first call. */
  static ofServer(server: Server): AnswerNumbers {
    let numbers = ofServer.get(server);
    if (numbers === undefined) {
      numbers = new AnswerNumbers();
      ofServer.set(server, numbers);
    }
    return numbers;
  }
}

/** Counts how long it took until an answer begins, which it does now. */
export function noteFirstByte(request: FastifyRequest, kind: keyof AnswerNumbers['firstByte']): void {
  const ms = ClientSocket.of(request.raw.socket).sinceRequestMs;
  if (ms !== undefined) AnswerNumbers.of(request).firstByte[kind].observe(ms);
}
