import type { Core } from '../../../src/core/core.ts';
import type { Appended } from '../../../src/core/log/append-rules.ts';
import type { ProducerRequest } from '../../../src/core/log/producers.ts';
import { ANYBODY, Permit } from '../../../src/core/permit.ts';
import type { CreateRequest } from '../../../src/core/streams/create-request.ts';
import type { NewFile } from '../../../src/storage/new-file.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';

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
export function makeStream(
  core: Core,
  name: string,
  text = '',
  more: Partial<CreateRequest> = {},
): Promise<boolean> {
  return create(core, name, { ...TEXT_STREAM, ...more }, Buffer.from(text));
}

/** Stores a file in the root of a core, without HTTP. */
export async function storeFile(core: Core, directory: string, name: string, text: string): Promise<void> {
  const file = await (await Root.open(directory)).newFile();
  try {
    await file.write([Buffer.from(text)]);
    await create(core, name, { ...TEXT_STREAM, contentType: undefined, isUpload: true }, file);
  } finally {
    await file.discard();
  }
}

/** Forks a stream at its end, without HTTP. */
export async function makeFork(core: Core, source: string, name: string): Promise<void> {
  const fork = { source: Permit.own(ResourcePath.parse(source)), offset: undefined, subOffset: 0 };
  await create(core, name, { ...TEXT_STREAM, fork }, Buffer.alloc(0));
}

async function create(
  { streams }: Core,
  name: string,
  request: CreateRequest,
  content: Buffer | NewFile,
): Promise<boolean> {
  const { isNew } = await streams.create(Permit.own(ResourcePath.parse(name)), request, content);
  return isNew;
}

/** Appends to a stream, without HTTP. */
export async function appendLine(
  { resources }: Core,
  name: string,
  text: string,
  producer?: ProducerRequest,
): Promise<Appended> {
  const stream = await resources.acquire(Permit.own(ResourcePath.parse(name)));
  const append = { contentType: 'text/plain', seq: undefined, producer, close: false };
  try {
    return await stream.append({ ...append, bytes: Buffer.from(text) });
  } finally {
    resources.release(stream);
  }
}

/**
 * What a reader gets of a stream.
 *
 * @throws what {@link Resources.open} throws
 */
export async function textOf({ resources }: Core, name: string): Promise<string> {
  const file = await resources.open(Permit.require(ANYBODY, 'follow', ResourcePath.parse(name)));
  try {
    return (await file.read(0, (await resources.view(file)).state.size)).toString();
  } finally {
    await file.close();
  }
}
