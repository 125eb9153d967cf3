import type { Conversation, Step } from './conversation.ts';
import { type Finding, Fuzzer } from './fuzzer.ts';
import { halve } from './halve.ts';

/** What does not fail each time is tried more often: so many conversations at least. */
const MIN_CONVERSATIONS = 400;

/** One try takes no longer. */
const MAX_TRY_MS = 8000;

/** What takes long to be seen cannot be tried many times. */
const TOO_SLOW: readonly Finding['kind'][] = ['hang', 'silent one is kept'];

/**
 * Looks for fewer and shorter conversations that make a fresh server fail in the
 * same way.
 *
 * @param budgetMs longest time to look for them
 * @returns the finding with what is left of its suspects; as it was, when none made a fresh server fail
 */
export async function shrink(finding: Finding, connections: number, budgetMs: number): Promise<Finding> {
  if (TOO_SLOW.includes(finding.kind)) return finding;
  const deadline = performance.now() + budgetMs;
  const fails = async (suspects: readonly Conversation[]) =>
    performance.now() < deadline && (await failsAlike(finding.kind, suspects, connections));
  if (!(await fails(finding.suspects))) return finding;
  let suspects = await halve(finding.suspects, fails);
  for (const [i, suspect] of suspects.entries()) {
    const withSteps = (steps: readonly Step[]) => suspects.with(i, { ...suspect, steps });
    const steps = await halve(suspect.steps, (some) => fails(withSteps(some)));
    suspects = withSteps(steps);
  }
  return { ...finding, suspects };
}

async function failsAlike(
  kind: Finding['kind'],
  suspects: readonly Conversation[],
  connections: number,
): Promise<boolean> {
  const fuzzer = await Fuzzer.start(connections);
  const times = Math.ceil(MIN_CONVERSATIONS / suspects.length);
  const hasFailed = () => fuzzer.findings.some((finding) => finding.kind === kind);
  function* conversations(): Generator<Conversation> {
    for (let i = 0; i < times; i++) for (const suspect of suspects) if (!hasFailed()) yield suspect;
  }
  await fuzzer.play(conversations(), MAX_TRY_MS);
  fuzzer.finish();
  if (!fuzzer.server.hasEnded) await fuzzer.server.process.stop('SIGKILL');
  return hasFailed();
}
