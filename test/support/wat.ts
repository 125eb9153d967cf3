/**
 * Assembles the part of WebAssembly's text format that this project uses: one memory and one function, both exported,
 * whose instructions are written one after the other and not nested.
 *
 * @throws {Error} for anything else
 */
export function assemble(text: string): Buffer {
  const tokens = text.replaceAll(/;;.*/g, '').match(/[()]|[^\s()]+/g) ?? [];
  const module = nest(tokens);
  const memory = part(module, 'memory');
  const func = part(module, 'func');
  const params = named(func, 'param');
  const locals = named(func, 'local');
  const results = func
    .filter((each) => Array.isArray(each) && each[0] === 'result')
    .map((each) => String(each[1]));
  const body = bodyOf(func.filter((each): each is string => typeof each === 'string').slice(1), [
    ...params,
    ...locals,
  ]);
  const code = [...vector(locals.map(({ type }) => [1, typeOf(type)])), ...body, END];
  const exports = [
    [...string(exportOf(memory)), 2, 0],
    [...string(exportOf(func)), 0, 0],
  ];
  const limits = memory.slice(2).map(Number);
  return Buffer.from([
    ...Buffer.from('\0asm\x01\0\0\0', 'latin1'),
    ...section(1, [
      [
        0x60,
        ...vector(params.map(({ type }) => [typeOf(type)])),
        ...vector(results.map((type) => [typeOf(type)])),
      ],
    ]),
    ...section(3, [[0]]),
    ...section(5, [[1, ...limits.flatMap(unsigned)]]),
    ...section(7, exports),
    ...section(10, [[...unsigned(code.length), ...code]]),
  ]);
}

type Node = string | Node[];

interface Named {
  name: string;
  type: string;
}

const TYPES: Readonly<Record<string, number>> = { i32: 0x7f, v128: 0x7b };

const SIMD = 0xfd;

const END = 0x0b;

/** Without immediates, but those of `v128.load`: its alignment, and no offset. */
const PLAIN: Readonly<Record<string, readonly number[]>> = {
  end: [END],
  'i32.add': [0x6a],
  'i32.lt_u': [0x49],
  'i32.popcnt': [0x69],
  'i8x16.bitmask': [SIMD, 0x64],
  'i8x16.eq': [SIMD, 0x23],
  'i8x16.splat': [SIMD, 0x0f],
  'v128.load': [SIMD, 0x00, 4, 0],
};

const OF_LOCALS: Readonly<Record<string, number>> = {
  'local.get': 0x20,
  'local.set': 0x21,
  'local.tee': 0x22,
};

function bodyOf(words: readonly string[], locals: readonly Named[]): number[] {
  const bytes: number[] = [];
  const labels: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const plain = PLAIN[word];
    if (word === 'end') labels.pop();
    if (plain !== undefined) {
      bytes.push(...plain);
      continue;
    }
    i++;
    const operand = words[i] ?? '';
    const local = OF_LOCALS[word];
    if (word === 'loop') {
      labels.push(operand);
      bytes.push(0x03, 0x40);
    } else if (word === 'br_if')
      bytes.push(0x0d, ...unsigned(labels.length - 1 - labels.lastIndexOf(operand)));
    else if (word === 'i32.const') bytes.push(0x41, ...signed(Number(operand)));
    else if (local !== undefined)
      bytes.push(local, ...unsigned(locals.findIndex(({ name }) => name === operand)));
    else throw new Error(`unknown instruction: ${word}`);
  }
  return bytes;
}

function nest(tokens: readonly string[]): Node[] {
  const open: Node[][] = [[]];
  for (const token of tokens) {
    if (token === '(') open.push([]);
    else if (token === ')') {
      const closed = open.pop() as Node[];
      open.at(-1)?.push(closed);
    } else open.at(-1)?.push(token);
  }
  return open[0]?.[0] as Node[];
}

function part(module: Node[], kind: string): Node[] {
  return module.find((each) => each[0] === kind) as Node[];
}

function exportOf(node: Node[]): string {
  return String(part(node, 'export')[1]).replaceAll('"', '');
}

function named(func: Node[], kind: string): Named[] {
  return func
    .filter((each): each is Node[] => Array.isArray(each) && each[0] === kind)
    .map(([, name, type]) => ({ name: String(name), type: String(type) }));
}

function typeOf(name: string): number {
  return TYPES[name] as number;
}

function section(id: number, entries: readonly (readonly number[])[]): number[] {
  const content = vector(entries);
  return [id, ...unsigned(content.length), ...content];
}

function vector(entries: readonly (readonly number[])[]): number[] {
  return [...unsigned(entries.length), ...entries.flat()];
}

function string(text: string): number[] {
  return [...unsigned(text.length), ...Buffer.from(text)];
}

/** LEB128. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
