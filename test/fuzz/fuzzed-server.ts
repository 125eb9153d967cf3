import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { temporaryDirectory } from '../support/server/server.ts';
import { ServerProcess } from '../support/server/server-process.ts';
import { waitFor } from '../support/wait-for.ts';

const COLLECT_ON_SIGNAL = new URL('../support/programs/collect-on-signal.mjs', import.meta.url).href;

/** Level of a line in the log that tells of the server's own trouble. */
const ERROR_LEVEL = 50;

const WARN_LEVEL = 40;

/** Of appends whose file was deleted: the fuzzer deletes, too. */
const EXPECTED_ERRORS = ['HFS_RESOURCE_GONE'];

/** Short, so that nothing outlives a short run. */
const ARGUMENTS = ['-grace', '1', '-long-poll', '1'];

/** The server that is fuzzed: a process of its own, whose log is read. */
export class FuzzedServer {
  readonly process: ServerProcess;
  /** How often it warned, by what it said. */
  readonly warnings = new Map<string, number>();
  readonly #onError: (line: string) => void;
  readonly #nodeWarnings: string;
  #keepBytes: number | undefined;
  #rest = '';

  private constructor(server: ServerProcess, nodeWarnings: string, onError: (line: string) => void) {
    this.#onError = onError;
    this.process = server;
    this.#nodeWarnings = nodeWarnings;
    server.child.stdout?.on('data', (text: Buffer) => this.#read(String(text)));
  }

  /** @param onError called with each line of its log that must not be there */
  static async start(root: string, onError: (line: string) => void): Promise<FuzzedServer> {
    const nodeWarnings = path.join(await temporaryDirectory(), 'warnings');
    const nodeArgs = ['--expose-gc', '--import', COLLECT_ON_SIGNAL, `--redirect-warnings=${nodeWarnings}`];
    return new FuzzedServer(await ServerProcess.start(root, ARGUMENTS, { nodeArgs }), nodeWarnings, onError);
  }

  get hasEnded(): boolean {
    const { exitCode, signalCode } = this.process.child;
    return exitCode !== null || signalCode !== null;
  }

  /** What it has in memory, in bytes, without what it would throw away. */
  async keepBytes(): Promise<number> {
    this.#keepBytes = undefined;
    this.process.child.kill('SIGUSR2');
    await waitFor(() => this.#keepBytes !== undefined, 'the garbage to be collected');
    return this.#keepBytes as unknown as number;
  }

  /** What its descriptors are of, for people. Linux only. */
  openFiles(): string {
    const directory = `/proc/${this.process.child.pid}/fd`;
    const links = readdirSync(directory).map((descriptor) => {
      try {
        return readlinkSync(path.join(directory, descriptor));
      } catch {
        return 'closed meanwhile';
      }
    });
    return links.sort().join(', ');
  }

  /** What Node has warned of: listeners that leak, say. */
  nodeWarnings(): string {
    try {
      return readFileSync(this.#nodeWarnings, 'utf8');
    } catch {
      return '';
    }
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() as string;
    for (const line of lines) this.#readLine(line);
  }

  #readLine(line: string): void {
    const kept = /^collected, kept (\d+) bytes/.exec(line)?.[1];
    if (kept !== undefined) this.#keepBytes = Number(kept);
    if (!line.startsWith('{')) return;
    const { level, msg, err } = JSON.parse(line) as { level: number; msg: string; err?: { code?: string } };
    if (level >= ERROR_LEVEL && !EXPECTED_ERRORS.includes(err?.code ?? '')) this.#onError(line);
    else if (level >= WARN_LEVEL) this.warnings.set(msg, (this.warnings.get(msg) ?? 0) + 1);
  }
}
