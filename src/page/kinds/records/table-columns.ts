import type { JsonNode } from './json-node.ts';
import { cellText } from './json-text.ts';

/** More columns than a window has room for; the rest of a record is in its last cell. */
const MAX_COLUMNS = 12;

/** Width of a column at most, and of the one that takes what is left at least, in cells. */
const MAX_WIDTH = 40;
const MIN_WIDTH = 4;

/** A column of a table of records. */
export interface TableColumn {
  /** The member that it shows. */
  key: string;
  /** Cells of a fixed-width font. */
  width: number;
  /** Whether all that it shows are numbers, which are aligned at their ends. */
  isNumeric: boolean;
}

/** Undefined where a record has no such member, which is not the same as null. */
export type Cell = JsonNode | undefined;

/**
 * Chooses the columns for records: the members that most of them have, in the order in which they come
 * first. None for values of which most are no objects.
 *
 * @param sample some of the values, as many as are seen at a time
 * @param widthOf how many cells of a fixed-width font a text takes
 */
export function tableColumns(sample: readonly JsonNode[], widthOf: (text: string) => number): TableColumn[] {
  const objects = sample.filter((node) => node.kind === 'object');
  if (objects.length * 2 <= sample.length) return [];
  const counts = new Map<string, number>();
  for (const { members } of objects) {
    for (const key of new Set(members.map(({ key }) => key))) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const frequent = [...counts].sort(([, a], [, b]) => b - a).slice(0, MAX_COLUMNS);
  const chosen = new Set(frequent.map(([key]) => key));
  return [...counts.keys()].filter((key) => chosen.has(key)).map((key) => column(key, objects, widthOf));
}

/** What a record has in a column: the last of members with the same name, as a program would read it. */
export function cellOf(node: JsonNode | undefined, key: string): Cell {
  if (node?.kind !== 'object') return undefined;
  return node.members.findLast((member) => member.key === key)?.value;
}

function column(key: string, records: readonly JsonNode[], widthOf: (text: string) => number): TableColumn {
  const cells = records.map((record) => cellOf(record, key)).filter((cell) => cell !== undefined);
  const widths = [key, ...cells.map((cell) => cellText(cell, MAX_WIDTH))].map(widthOf);
  return {
    key,
    width: Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, ...widths)),
    isNumeric: cells.length > 0 && cells.every(({ kind }) => kind === 'number'),
  };
}
