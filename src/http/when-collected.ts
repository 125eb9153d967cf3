const registry = new FinalizationRegistry<() => void>((callback) => callback());

/**
 * Calls `callback` some time after nobody can reach `object` any more. The callback must not reach it, either.
 *
 * @returns forgets the callback
 */
export function whenCollected(object: WeakKey, callback: () => void): () => void {
  const token = {};
  registry.register(object, callback, token);
  return () => void registry.unregister(token);
}
