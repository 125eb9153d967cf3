/** Leaves the body of an answer that is not wanted, also when that has broken off. */
export function discardBody({ body }: Pick<Response, 'body'>): void {
  body?.cancel().catch(() => {});
}
