import type { FastifyRequest } from 'fastify';
import type { Resources } from '../../core/resources.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { ignoreMissing } from '../failure.ts';
import { assertChangeable, isConditional } from '../response/conditions.ts';
import { validatorsOf } from './file-response.ts';

/**
 * Checks the conditions under which a request is to change a resource. It is
 * not kept from others meanwhile: of two requests at a time both may pass.
 *
 * @throws {PreconditionFailedError} when one does not hold
 */
export async function assertWriteConditions(
  { headers }: FastifyRequest,
  path: ResourcePath,
  resources: Resources,
): Promise<void> {
  if (!isConditional(headers)) return;
  const file = await resources.openAny(path).catch(ignoreMissing);
  try {
    const isFile = file?.stat.kind === 'file';
    assertChangeable(headers, isFile ? validatorsOf(file, await resources.view(file)) : undefined);
  } finally {
    await file?.close();
  }
}
