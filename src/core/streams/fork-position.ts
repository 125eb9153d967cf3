import type { StoredFile } from '../../storage/stored-file.ts';
import { InvalidRequestError, ResourceGoneError } from '../../wire/errors.ts';
import type { Resource } from '../resource.ts';
import type { ForkRequest } from './create-request.ts';
import { isJsonType } from './stream-type.ts';

const BLOCK_BYTES = 256 * 1024;

const NEWLINE = 0x0a;

/**
 * The position at which a fork leaves its source.
 *
 * @param file of the source
 * @throws {InvalidRequestError} when the source has no such position
 */
export async function forkPosition(
  source: Resource,
  file: StoredFile,
  { offset, subOffset }: ForkRequest,
): Promise<number> {
  const { size } = source.state;
  let anchor = size;
  try {
    if (offset !== undefined) anchor = source.names.positionOf(offset, size);
  } catch (error) {
    if (!(error instanceof ResourceGoneError)) throw error;
    throw new InvalidRequestError('the source does not have this Stream-Fork-Offset', { cause: error });
  }
  if (subOffset === 0) return anchor;
  const position = isJsonType(source.streamType)
    ? await afterValues(file, anchor, size, subOffset)
    : anchor + subOffset;
  if (position === undefined || position > size) {
    throw new InvalidRequestError('the source does not have this Stream-Fork-Sub-Offset');
  }
  return position;
}

/** The position after so many values, one a line. Undefined when there are fewer. */
async function afterValues(
  file: StoredFile,
  start: number,
  size: number,
  values: number,
): Promise<number | undefined> {
  // Each has one byte and its line end at least.
  if (2 * values > size - start) return undefined;
  let remaining = values;
  for (let at = start; at < size; ) {
    const block = await file.read(at, Math.min(BLOCK_BYTES, size - at));
    if (block.length === 0) return undefined;
    for (let i = block.indexOf(NEWLINE); i !== -1; i = block.indexOf(NEWLINE, i + 1)) {
      remaining--;
      if (remaining === 0) return at + i + 1;
    }
    at += block.length;
  }
  return undefined;
}
