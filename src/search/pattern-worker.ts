import { parentPort, workerData } from 'node:worker_threads';
import { literalMatcher, type Matcher, textMatcher } from './matcher.ts';
import type { FindRequest, SoughtRequest, WorkerData } from './pattern-workers.ts';

const blocks = (workerData as WorkerData).blocks.map((block) => Buffer.from(block));

let matcher: Matcher = () => [];

parentPort?.on('message', (request: SoughtRequest | FindRequest) => {
  if (request.kind !== 'find') {
    matcher = request.kind === 'literal' ? literalMatcher(request.query) : textMatcher(request.pattern);
    return;
  }
  const { block, length, start, end, wanted } = request;
  const bytes = (blocks[block] as Buffer).subarray(0, length);
  parentPort?.postMessage(Float64Array.from(matcher({ bytes, start, end }, wanted)));
});
