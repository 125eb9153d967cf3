import type { FeedRegistry } from '../../src/core/feed-registry.ts';
import type { CreateRequest } from '../../src/core/streams/create-request.ts';
import type { ProducerRequest } from '../../src/core/streams/producers.ts';
import type { Appended } from '../../src/core/streams/stream.ts';
import { ResourcePath } from '../../src/storage/resource-path.ts';

/** What is asked for to make a plain stream of text. */
const TEXT_STREAM: CreateRequest = {
  contentType: 'text/plain',
  ttlSeconds: undefined,
  expiresAt: undefined,
  isClosed: false,
  fork: undefined,
  isUpload: false,
};

/** Makes a stream, without HTTP. Returns whether it is new. */
export function makeStream(registry: FeedRegistry, name: string, text = ''): Promise<boolean> {
  return create(registry, name, TEXT_STREAM, text);
}

/** Forks a stream at its end, without HTTP. */
export async function makeFork(registry: FeedRegistry, source: string, name: string): Promise<void> {
  const fork = { source: ResourcePath.parse(source), offset: undefined, subOffset: 0 };
  await create(registry, name, { ...TEXT_STREAM, fork }, '');
}

async function create(
  { streams }: FeedRegistry,
  name: string,
  request: CreateRequest,
  text: string,
): Promise<boolean> {
  const { isNew, stream } = await streams.create(ResourcePath.parse(name), request, Buffer.from(text));
  streams.release(stream);
  return isNew;
}

/** Appends to a stream, without HTTP. */
export async function appendLine(
  { streams }: FeedRegistry,
  name: string,
  text: string,
  producer?: ProducerRequest,
): Promise<Appended> {
  const stream = await streams.acquire(ResourcePath.parse(name));
  const append = { contentType: 'text/plain', seq: undefined, producer, close: false };
  try {
    return await stream.append({ ...append, bytes: Buffer.from(text) });
  } finally {
    streams.release(stream);
  }
}

/**
 * What a reader gets of a stream.
 *
 * @throws what {@link StreamLifecycle.open} throws
 */
export async function textOf({ streams }: FeedRegistry, name: string): Promise<string> {
  const file = await streams.open(ResourcePath.parse(name));
  try {
    return (await file.read(0, (await streams.view(file)).state.size)).toString();
  } finally {
    await file.close();
  }
}
