/** Answers whose bodies are as they came, in the codings that their `Content-Encoding` tells. */
const coded = new WeakSet<Response>();

/** Notes that nobody has decoded the body of an answer. */
export function declareCoded(answer: Response): void {
  coded.add(answer);
}

/** Whether the body of an answer is coded: its `Content-Type` is that of what would be decoded. */
export function isCoded(answer: Response): boolean {
  return coded.has(answer);
}
