import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** What a fresh process does: it tells how long the import took, and its processor time. */
const SCRIPT = `
  const begun = performance.now();
  const before = process.cpuUsage();
  await import(process.argv[1]);
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify([performance.now() - begun, (user + system) / 1000]));
`;

/** Imports a module in so many processes, one after the other. The least counts: what others do at the same time only adds. */
export async function imports(entry, processes) {
  const tookMs = [];
  const cpuMs = [];
  for (let i = 0; i < processes; i++) {
    const args = ['--input-type=module', '-e', SCRIPT, entry];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const [took, cpu] = JSON.parse(stdout);
    tookMs.push(took);
    cpuMs.push(cpu);
  }
  return { importMs: Math.min(...tookMs), importCpuMs: Math.min(...cpuMs) };
}
