/** What a child told of one thing that it asked for: before, and what came of it. */
export interface Fact {
  kind: 'create' | 'append' | 'delete' | 'expire' | 'session' | 'copy' | 'safe' | 'end';
  path: string;
  lines?: string[];
  fork?: string;
  /** What the stream is of that was to be made. */
  type?: string;
  /** Number of its producer's request. */
  seq?: number;
  /** Whether it was the last append. */
  close?: boolean;
  /** `sent` until it was answered. */
  outcome?: 'sent' | 'made' | 'refused' | 'unknown';
  /** What a session sent, or all that a copy is to have. */
  text?: string;
  /** Up to where that is safe. */
  position?: number;
  /** How many steps there were. */
  steps?: number;
}

/** Whether something must be there, may be, or must not. */
type Presence = 'must' | 'may' | 'never';

/** What must be at one path, may be, and must not. */
class PathModel {
  exists: Presence = 'never';
  readonly lines = new Map<string, Presence>();
  /** What the stream is of that is there for sure. */
  type: string | undefined;
  /** The last number of the producer that was acknowledged. */
  seq: number | undefined;
  isClosed = false;
  sessionText = '';
  /** All that it is to have, of a copy that is worth nothing without the rest. */
  copyText: string | undefined;
  safePosition = 0;

  /** @throws when a text is not what may be there */
  assertHolds(text: string): void {
    const sessionStart = text.indexOf('session 0');
    const isInSession = this.sessionText !== '' && sessionStart !== -1;
    const single = isInSession ? text.slice(0, sessionStart) : text;
    if (text.length < this.safePosition) throw new Error(`lost what was safe: ${text}`);
    if (this.copyText !== undefined) {
      if (text !== this.copyText) throw new Error(`a part is served as all: ${text}`);
      return;
    }
    if (isInSession && !this.sessionText.startsWith(text.slice(sessionStart)))
      throw new Error(`wrong: ${text}`);
    const found = single.split('\n');
    if (found.pop() !== '') throw new Error(`torn: ${abridged(single)}`);
    const names = found.map((line) => line.replace(/\.{2,}$/, ''));
    for (const line of found) {
      if (line.startsWith('large') && line.length < 300_000) throw new Error(`torn: ${abridged(line)}`);
    }
    for (const name of names) if (!this.lines.has(name)) throw new Error(`nobody sent ${name}`);
    for (const [name, presence] of this.lines) {
      const count = names.filter((other) => other === name).length;
      const isRight = presence === 'must' ? count === 1 : count <= (presence === 'may' ? 1 : 0);
      if (!isRight) throw new Error(`${name} ${presence} be there, and is ${count} times: ${abridged(text)}`);
    }
  }
}

/** What a root must hold, after what its server was asked for and how that was answered. */
export class CrashModel {
  readonly paths = new Map<string, PathModel>();

  constructor(facts: readonly Fact[]) {
    for (const [index, fact] of facts.entries()) if (!isAnswered(facts, index)) this.#take(fact);
  }

  #take({ kind, path, lines = [], fork, outcome, text = '', position = 0, ...fact }: Fact): void {
    if (kind === 'end') return;
    const model = this.paths.get(path) ?? new PathModel();
    this.paths.set(path, model);
    if (kind === 'session') model.sessionText = text;
    else if (kind === 'copy') {
      model.copyText = text;
      // Or fetched again.
      model.exists = 'may';
    } else if (kind === 'safe') model.safePosition = position;
    else if (kind === 'expire') model.exists = 'may';
    else if (outcome === 'refused') for (const line of lines) note(model, line, 'never');
    else if (kind === 'delete') {
      model.exists = outcome === 'made' ? 'never' : 'may';
      if (outcome === 'made') model.lines.clear();
      model.type = undefined;
    } else {
      const presence = outcome === 'made' ? 'must' : 'may';
      if (kind === 'create' && model.exists === 'never') model.exists = presence;
      for (const line of this.paths.get(fork ?? '')?.lines.keys() ?? []) note(model, line, presence);
      for (const line of lines) note(model, line, presence);
      if (outcome !== 'made') return;
      model.type ??= fact.type;
      model.seq = fact.seq ?? model.seq;
      model.isClosed ||= fact.close === true;
    }
  }
}

/** What was promised once stays so. */
function note({ lines }: PathModel, line: string, presence: Presence): void {
  if (lines.get(line) !== 'must') lines.set(line, presence);
}

function isAnswered(facts: readonly Fact[], index: number): boolean {
  const { kind, path, lines, outcome } = facts[index] as Fact;
  if (outcome !== 'sent') return false;
  const isSame = (other: Fact) =>
    other.kind === kind && other.path === path && `${other.lines}` === `${lines}`;
  return facts.slice(index + 1).some((other) => isSame(other));
}

function abridged(text: string): string {
  return text.replaceAll(/\.{2,}/g, '…');
}
