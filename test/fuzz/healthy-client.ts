import { fileURLToPath } from 'node:url';
import { type StartedProgram, startProgram } from '../support/programs/program.ts';
import { waitFor } from '../support/wait-for.ts';

const PROGRAM = fileURLToPath(new URL('healthy-client.mjs', import.meta.url));

export type HealthyKind = 'get' | 'append' | 'live';

/** How long one thing took. */
export interface Sample {
  kind: HealthyKind;
  /** As `Date.now()` tells it. */
  at: number;
  milliseconds: number;
}

/** What a healthy client has seen. */
export interface HealthyReport {
  samples: readonly Sample[];
  /** What went wrong: nothing must. */
  failures: readonly string[];
  /** What its stream and its live file have in them. */
  appended: string;
  sent: string;
}

/** A client that means well, see `healthy-client.mjs`. */
export class HealthyClient {
  readonly #program: StartedProgram;

  private constructor(program: StartedProgram) {
    this.#program = program;
  }

  /** Starts it, and resolves when it is at work. */
  static async start(directoryUrl: string): Promise<HealthyClient> {
    const program = startProgram(process.execPath, [PROGRAM, directoryUrl]);
    await Promise.race([
      waitFor(() => program.stdout().includes('ready\n'), 'the healthy client to begin'),
      program.ended.then(({ stderr }) =>
        Promise.reject(new Error(`the healthy client did not begin: ${stderr}`)),
      ),
    ]);
    return new HealthyClient(program);
  }

  /** From now on it only sees, a few times a second, that it is still served. */
  slowDown(): void {
    this.#program.stdin.write('.');
  }

  async stop(): Promise<HealthyReport> {
    this.#program.stdin.end();
    const { stdout, stderr } = await this.#program.ended;
    const report = String(stdout).split('\n')[1];
    if (report === undefined || report === '') throw new Error(`the healthy client broke: ${stderr}`);
    return JSON.parse(report) as HealthyReport;
  }
}

/** The median of what kind took, in milliseconds; NaN when there is nothing. */
export function medianOf(samples: readonly Sample[], kind: HealthyKind): number {
  const sorted = samples
    .filter((sample) => sample.kind === kind)
    .map(({ milliseconds }) => milliseconds)
    .sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The samples of each `windowMs` milliseconds, without those of the last few that make no whole window. */
export function windowsOf(samples: readonly Sample[], windowMs: number): Sample[][] {
  const begin = Math.min(...samples.map(({ at }) => at));
  const end = Math.max(...samples.map(({ at }) => at));
  return Array.from({ length: Math.floor((end - begin) / windowMs) }, (_, i) => {
    const from = begin + i * windowMs;
    return samples.filter(({ at }) => at >= from && at < from + windowMs);
  });
}
