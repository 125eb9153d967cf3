import { parentPort, workerData } from 'node:worker_threads';
import { type Matcher, textMatcher } from './matcher.ts';
import type { FindRequest, PatternRequest, WorkerData } from './pattern-workers.ts';

const blocks = (workerData as WorkerData).blocks.map((block) => Buffer.from(block));

let matcher: Matcher = () => [];

parentPort?.on('message', (request: PatternRequest | FindRequest) => {
  if (request.kind === 'pattern') {
    matcher = textMatcher(request.pattern);
    return;
  }
  const { block, length, start, end, wanted } = request;
  const bytes = (blocks[block] as Buffer).subarray(0, length);
  parentPort?.postMessage(Float64Array.from(matcher({ bytes, start, end }, wanted)));
});
