import type { StreamState } from '../../storage/records/stream-state.ts';

/** The content type that a file has by what is remembered of it: it was made as, or an append has given it. */
export function givenType({ contentType, fileType }: StreamState): string | undefined {
  return contentType ?? fileType;
}

/** Whether two content types name the same media type; parameters do not count. */
export function isSameType(type: string, other: string | undefined): boolean {
  return other !== undefined && mediaTypeOf(type) === mediaTypeOf(other);
}

/** Whether a stream of this type holds JSON values, one a line (Durable Streams protocol, section 9.1). */
export function isJsonType(type: string | undefined): boolean {
  return type !== undefined && mediaTypeOf(type) === 'application/json';
}

/** The type without its parameters. */
export function mediaTypeOf(type: string): string {
  return (type.split(';', 1)[0] as string).trim().toLowerCase();
}

/** Whether two content types are the same to the last parameter, but for upper and lower case. */
export function isEqualType(type: string, other: string): boolean {
  return type.trim().toLowerCase() === other.trim().toLowerCase();
}
