/** One instruction of a Dockerfile: `NAME --flag=value arguments`. */
export interface Instruction {
  /** In capitals. */
  name: string;
  flags: Record<string, string>;
  /** What follows the flags. */
  text: string;
  /** The elements of the exec form (`["a", "b"]`), else the words of the text. */
  args: string[];
  isExecForm: boolean;
}

/** What one FROM begins. */
export interface Stage {
  base: string;
  /** The name after AS. */
  name: string | undefined;
  instructions: Instruction[];
}

/** Parses what our Dockerfile uses of the format; no ARG, no heredocs, no quotes outside the exec form. */
export function parseDockerfile(text: string): Stage[] {
  const stages: Stage[] = [];
  for (const line of logicalLines(text)) {
    const instruction = parseInstruction(line);
    if (instruction.name === 'FROM') {
      const [base, as, name] = instruction.args;
      if (base === undefined || (as !== undefined && as.toUpperCase() !== 'AS'))
        throw new Error(`not understood: ${line}`);
      stages.push({ base, name, instructions: [] });
    } else {
      const stage = stages.at(-1);
      if (stage === undefined) throw new Error(`comes before FROM: ${line}`);
      stage.instructions.push(instruction);
    }
  }
  return stages;
}

/** Parses what follows CMD in `HEALTHCHECK … CMD …`. */
export function healthCommand({ text }: Instruction): Instruction {
  return parseInstruction(text);
}

/** The only instruction of a stage with that name; throws when there is another number of them. */
export function onlyInstruction({ instructions }: Stage, name: string): Instruction {
  const found = instructions.filter((instruction) => instruction.name === name);
  if (found.length !== 1) throw new Error(`${found.length} instructions are ${name}, not 1`);
  return found[0]!;
}

/** The variables that a stage sets. */
export function environmentOf({ instructions }: Stage): Record<string, string> {
  const pairs = instructions.filter(({ name }) => name === 'ENV').flatMap(({ args }) => args);
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value] = /^(\w+)=([^"'$\\]*)$/.exec(pair) ?? [];
      if (key === undefined || value === undefined) throw new Error(`not understood: ENV ${pair}`);
      return [key, value];
    }),
  );
}

/** Without comments and empty lines, and with continued lines in one. */
function logicalLines(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replace(/\\\n\s*/g, '')
    .split('\n');
}

function parseInstruction(line: string): Instruction {
  const [, name = '', flagText = '', text = ''] = /^\s*(\w+)\s+((?:--\S+\s+)*)(.*?)\s*$/.exec(line) ?? [];
  const flags = Object.fromEntries(
    flagText.split(/\s+/).flatMap((flag) => {
      const [, key, value] = /^--([^=]+)=(.*)$/.exec(flag) ?? [];
      return key === undefined || value === undefined ? [] : [[key, value]];
    }),
  );
  const isExecForm = text.startsWith('[');
  const args: string[] = isExecForm ? JSON.parse(text) : text.split(/\s+/);
  return { name: name.toUpperCase(), flags, text, args, isExecForm };
}
