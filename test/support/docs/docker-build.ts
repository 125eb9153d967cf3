import { chmod, copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PATH, runSuccessfully } from '../programs/program.ts';
import { environmentOf, type Instruction, parseDockerfile, type Stage } from './dockerfile.ts';

/** Instructions that change no file; they are for whoever starts the image. */
const METADATA = ['LABEL', 'ENV', 'USER', 'VOLUME', 'EXPOSE', 'STOPSIGNAL', 'HEALTHCHECK', 'ENTRYPOINT'];

/** What a Dockerfile's last stage came to. */
export interface BuiltImage {
  stage: Stage;
  /** The path here of an absolute path in the image. */
  inImage(imagePath: string): string;
  workingDirectory: string;
  /** `OWNER PATH` for each chown, with the paths as they are in the image. */
  owners: string[];
}

/**
 * Does what a Dockerfile says, without a container engine: every stage gets an
 * empty directory below `directory`, COPY copies and RUN runs, with absolute
 * paths of the image taken as below that directory. The base images are taken
 * for empty and their programs for this machine's; `chown` is only noted down.
 *
 * @param context directory that the COPY instructions see, less what its .dockerignore names
 * @param installed where the packages are already that `npm ci` would install: they are linked instead, files of a stage
 *   are linked in the next, and types are not checked, which is quick
 */
export async function buildWithoutDocker(
  dockerfile: string,
  context: string,
  directory: string,
  installed?: string,
): Promise<BuiltImage> {
  const stages = parseDockerfile(await readFile(dockerfile, 'utf8'));
  const isIgnored = parseDockerignore(await readFile(path.join(context, '.dockerignore'), 'utf8'));
  let built: StageBuild | undefined;
  const builtStages = new Map<string | undefined, StageBuild>();
  for (const [i, stage] of stages.entries()) {
    const target = path.join(directory, `stage-${i}`);
    built = new StageBuild(stage, target, { context, isIgnored, others: builtStages, installed });
    await built.build();
    builtStages.set(stage.name, built);
  }
  if (built === undefined) throw new Error(`${dockerfile} has no FROM`);
  return built;
}

/**
 * Makes of a .dockerignore's text a test for paths relative to the context. The
 * last line that matches a path, or a directory that it is in, decides. Of
 * the wildcards only `*`.
 */
export function parseDockerignore(text: string): (contextPath: string) => boolean {
  const rules = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const pattern = line.replace(/^!/, '').replace(/^\/|\/$/g, '');
      if (/[?[\]\\]|\*\*/.test(pattern)) throw new Error(`not understood in .dockerignore: ${line}`);
      const regExp = pattern.replace(/[.+^${}()|]/g, '\\$&').replaceAll('*', '[^/]*');
      return { ignores: !line.startsWith('!'), matcher: new RegExp(`^${regExp}(/|$)`) };
    });
  return (contextPath) => rules.findLast(({ matcher }) => matcher.test(contextPath))?.ignores ?? false;
}

/** What all stages are built with. */
interface Surroundings {
  context: string;
  isIgnored: (contextPath: string) => boolean;
  others: ReadonlyMap<string | undefined, StageBuild>;
  installed: string | undefined;
}

class StageBuild implements BuiltImage {
  readonly stage: Stage;
  readonly owners: string[] = [];
  readonly #directory: string;
  readonly #context: string;
  readonly #isIgnored: (contextPath: string) => boolean;
  readonly #others: ReadonlyMap<string | undefined, StageBuild>;
  readonly #installed: string | undefined;
  #workingDirectory = '/';

  constructor(stage: Stage, directory: string, { context, isIgnored, others, installed }: Surroundings) {
    this.stage = stage;
    this.#directory = directory;
    this.#context = context;
    this.#isIgnored = isIgnored;
    this.#others = others;
    this.#installed = installed;
  }

  get workingDirectory(): string {
    return this.inImage(this.#workingDirectory);
  }

  inImage(imagePath: string): string {
    return path.join(this.#directory, path.resolve(this.#workingDirectory, imagePath));
  }

  async build(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    for (const instruction of this.stage.instructions) {
      if (instruction.name === 'WORKDIR') await this.#changeDirectory(instruction);
      else if (instruction.name === 'COPY') await this.#copy(instruction);
      else if (instruction.name === 'RUN') await this.#run(instruction);
      else if (!METADATA.includes(instruction.name)) throw new Error(`not understood: ${instruction.name}`);
    }
  }

  async #changeDirectory({ text }: Instruction): Promise<void> {
    this.#workingDirectory = path.resolve(this.#workingDirectory, text);
    await mkdir(this.workingDirectory, { recursive: true });
  }

  async #copy({ args, flags: { from, ...flags } }: Instruction): Promise<void> {
    const sources = args.slice(0, -1);
    const target = args.at(-1)!;
    if (Object.keys(flags).length > 0) throw new Error(`not understood: COPY --${Object.keys(flags)[0]}`);
    if (sources.length > 1 && !target.endsWith('/')) throw new Error(`COPY to ${target}: must end with /`);
    for (const source of sources) {
      if (from === undefined) await this.#copyFromContext(source, target);
      else await this.#copyFromStage(this.#other(from), source, target);
    }
  }

  /** As Docker does it: of a directory, the contents are copied. */
  async #copyFromContext(source: string, target: string): Promise<void> {
    const origin = path.join(this.#context, source);
    const files = (await stat(origin)).isDirectory() ? await filesBelow(origin) : [''];
    const wanted = files.filter((file) => !this.#isIgnored(path.join(source, file)));
    if (wanted.length === 0) throw new Error(`COPY ${source}: .dockerignore leaves nothing of it`);
    const copyOf = (file: string) => {
      const name = file === '' && target.endsWith('/') ? path.basename(source) : file;
      return path.join(this.inImage(target), name);
    };
    for (const directory of new Set(wanted.map((file) => path.dirname(copyOf(file))))) {
      await mkdir(directory, { recursive: true });
    }
    await Promise.all(wanted.map((file) => copyFile(path.join(origin, file), copyOf(file))));
  }

  async #copyFromStage(other: StageBuild, source: string, target: string): Promise<void> {
    const origin = other.inImage(source);
    const isDirectory = (await stat(origin)).isDirectory();
    const intoDirectory = target.endsWith('/') && !isDirectory;
    const destination = path.join(this.inImage(target), intoDirectory ? path.basename(source) : '');
    await mkdir(isDirectory ? destination : path.dirname(destination), { recursive: true });
    // Of thousands of files, as packages have, Node's own copying takes several times as long; and to link them takes a third
    // of what a copy takes.
    const how = this.#installed === undefined ? '-RP' : '-RPl';
    await runSuccessfully('cp', [how, isDirectory ? `${origin}/.` : origin, destination]);
  }

  /** In the copy of the configuration: what follows `npm run build` goes to the last of its commands only. */
  async #leaveTypesUnchecked(): Promise<void> {
    const file = path.join(this.workingDirectory, 'tsconfig.json');
    const { compilerOptions, ...rest } = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(
      file,
      JSON.stringify({ compilerOptions: { ...compilerOptions, noCheck: true }, ...rest }),
    );
  }

  #other(name: string): StageBuild {
    const other = this.#others.get(name);
    if (other === undefined) throw new Error(`COPY --from=${name}: no stage before has that name`);
    return other;
  }

  async #run({ text, flags, isExecForm }: Instruction): Promise<void> {
    if (isExecForm || Object.keys(flags).length > 0) throw new Error(`not understood: RUN ${text}`);
    const tools = `${this.#directory}-tools`;
    const notes = path.join(tools, 'chown.txt');
    await mkdir(tools, { recursive: true });
    await writeFile(path.join(tools, 'chown'), `#!/bin/sh\nprintf '%s\\n' "$*" >> '${notes}'\n`);
    await chmod(path.join(tools, 'chown'), 0o755);
    await writeFile(notes, '');

    const isInstall = this.#installed !== undefined && text === 'npm ci --ignore-scripts';
    const command = isInstall
      ? // What npm writes over is none of the links.
        `cp -al '${this.#installed}' node_modules && rm -f node_modules/.package-lock.json`
      : text.replace(/(?<=^|\s)\/(?=\w)/g, `${this.#directory}/`);
    if (this.#installed !== undefined && text.includes('npm run build')) await this.#leaveTypesUnchecked();
    const { NODE_ENV: _, ...inherited } = process.env;
    await runSuccessfully('sh', ['-c', command], {
      cwd: this.workingDirectory,
      env: {
        ...inherited,
        npm_config_prefer_offline: 'true',
        ...environmentOf(this.stage),
        PATH: `${tools}${path.delimiter}${PATH}`,
      },
    });
    const owners = await readFile(notes, 'utf8');
    this.owners.push(...owners.replaceAll(`${this.#directory}/`, '/').split('\n').filter(Boolean));
  }
}

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)));
}
