import type { Report } from '../../../storage/report.ts';
import { Root } from '../../../storage/root/root.ts';
import { RootLock } from '../../../storage/root/root-lock.ts';
import { Core } from '../../core.ts';
import { FileCheck } from './file-check.ts';
import { Findings } from './findings.ts';
import { ForkCheck } from './fork-check.ts';
import { OrphanCheck, ofAnother } from './orphan-check.ts';

/** How many files are looked at at a time. */
const PARALLEL = 16;

/**
 * Verifies the root at a directory, and keeps servers from it meanwhile.
 *
 * @returns what {@link checkRoot} returns
 * @throws {InvalidRootError} when it cannot be used
 * @throws {RootInUseError} when a server uses it
 */
export async function checkRootAt(directory: string, print: (line: string) => void): Promise<boolean> {
  const root = await Root.open(directory);
  const lock = await RootLock.acquire(root.own('lock'), {
    root: directory,
    report: (message, { reason }) => print(`${directory}: ${message} (${reason})`),
  });
  try {
    return await checkRoot(root, print);
  } finally {
    await lock.release();
  }
}

/**
 * Verifies a root that no server uses and puts right what can be.
 *
 * @param print is given a line for each finding, and one at the end
 * @returns whether all is well now, and nothing was lost
 */
export async function checkRoot(root: Root, print: (line: string) => void): Promise<boolean> {
  const findings = new Findings(print);
  const report: Report = (message, { path, ...detail }) =>
    findings.bad(String(path), `${message} (${JSON.stringify(detail)})`);
  // What is put right is to survive a loss of power, whatever the server promises.
  const core = new Core(root, { durability: 'disk', graceMs: 0, report });
  try {
    await check(core, findings, print);
  } catch (error) {
    // There is nothing to be made safe, and what was found in the journal stays.
    await core.close().catch(() => undefined);
    throw error;
  }
  await core.close();
  return findings.badCount === 0;
}

async function check(core: Core, findings: Findings, print: (line: string) => void): Promise<void> {
  const { root, records, quarantine } = core;
  const progress: Report = (message, detail) => print(`${message} (${JSON.stringify(detail)})`);
  let adoptedCount = 0;
  let isCopied = false;
  const count = await core.recover({
    removed: (name) => findings.repaired(name, 'was not written to its end; removed'),
    adoption: {
      copied: () => {
        isCopied = true;
      },
      adopted: () => void adoptedCount++,
      distrusted: (name, aside) => findings.bad(name, ofAnother(aside)),
    },
    progress,
    verify: true,
  });
  if (adoptedCount > 0) {
    findings.repaired(
      'the root',
      `was copied; ${adoptedCount} of its files have what was remembered of the others`,
    );
  }
  if (count > 0) findings.repaired('journal', `the server was killed; ${count} files brought up to date`);
  const files = new FileCheck(core, findings);
  let isWhole = true;
  const names = root.walk((directory) => {
    isWhole = false;
    findings.bad(directory, 'cannot be read; what is remembered of its files is left as it is');
  });
  const checkAll = async () => {
    for await (const name of names) await files.check(name);
  };
  await Promise.all(Array.from({ length: PARALLEL }, checkAll));
  await files.deleteExpired();
  if (isWhole) {
    const { known, sources } = files;
    const isDone = await new OrphanCheck({ root, records, quarantine, findings, known, isCopied }).check();
    const forks = new ForkCheck({ root, records, quarantine, findings, known });
    await forks.checkTombstones();
    for (const source of sources) await forks.checkSource(source);
    // What could not be brought up to date, or read, is given to its copy by a later check.
    if (isDone && quarantine.isEmpty && (await core.identity.read()) !== 'own') await core.identity.claim();
  }
  print(summary(files, findings));
}

function summary(files: FileCheck, { repairedCount, badCount }: Findings): string {
  const { count, known, copyCount, partCount } = files;
  const copies = copyCount === 0 ? '' : `, copies among them: ${copyCount}, only in part: ${partCount}`;
  const looked = `${count} files looked at, of ${known.size} of them something is remembered${copies}`;
  if (repairedCount + badCount === 0) return `${looked}: all is well`;
  return `${looked}: ${repairedCount} findings put right, ${badCount} that are not, or not without a loss`;
}
