import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Root } from '../../src/storage/root/root.ts';
import { withoutStack } from '../../src/storage/storage-failure.ts';
import { ResourceNotFoundError } from '../../src/wire/errors.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { diskDirectory } from '../support/server/server.ts';

const isFrame = /^ {4}at /m;

describe('without a stack', () => {
  it('is what is made meanwhile, and nothing after that', () => {
    const failure = new Error('meanwhile');
    const result = withoutStack(() => new Error('made'));
    expect(result.stack).not.toMatch(isFrame);
    expect(() =>
      withoutStack(() => {
        throw failure;
      }),
    ).toThrow(failure);
    expect(new Error('after').stack).toMatch(isFrame);
  });

  it('is not made where the host lets nobody set that, and is made all the same', () => {
    const { stackTraceLimit } = Error;
    Object.defineProperty(Error, 'stackTraceLimit', { writable: false });
    onTestFinished(() => {
      Object.defineProperty(Error, 'stackTraceLimit', { writable: true, value: stackTraceLimit });
    });
    expect(withoutStack(() => new Error('made')).message).toBe('made');
  });
});

describe('a path at which nothing is', () => {
  it.each([['read'], ['append']])('costs no stack when it is opened to %s', async (how) => {
    const root = await Root.open(path.join(await diskDirectory(), 'root'));
    const missing = ResourcePath.parse('/missing');
    const opened = how === 'read' ? root.openRead(missing) : root.openAppend(missing, { create: false });
    const error = await opened.catch((failure: Error) => failure);
    expect(error).toBeInstanceOf(ResourceNotFoundError);
    expect((error as Error).stack).not.toMatch(isFrame);
    const { cause } = error as Error;
    if (cause !== undefined) expect((cause as Error).stack).not.toMatch(isFrame);
  });
});
