import { PEERS } from './peers.mjs';

/** From this share of a core on, the load generator may have been what was slow. */
const SATURATED_SHARE = 0.9;

const OURS = 'httpfstream';

/** The middle of the numbers, undefined when there is none. */
export function median(numbers) {
  const sorted = numbers.filter((number) => number !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** For each key that the runs have, its median over those that did not fail. */
export function medianOfRuns(runs) {
  const good = runs.filter((run) => run.error === undefined);
  const keys = new Set(good.flatMap((run) => Object.keys(run)));
  return Object.fromEntries([...keys].map((key) => [key, median(good.map((run) => run[key]))]));
}

/** The table for people: a line for each figure, a column for each peer. */
export function formatTable(benchmarks) {
  const peers = Object.keys(PEERS).filter((peer) => benchmarks.some(({ results }) => results[peer]));
  const rows = [['', '', ...peers.map((peer) => PEERS[peer].title)]];
  const skipped = [];
  for (const { title, figures, results, skipped: reason } of benchmarks) {
    if (reason !== undefined) skipped.push(`Skipped: ${title}: ${reason}.`);
    else {
      for (const figure of figures) {
        rows.push([
          `${title}: ${figure.label}`,
          figure.unit,
          ...peers.map((peer) => formatCell(figure, results, peer)),
        ]);
      }
    }
  }
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );
  return [...lines, '', ...skipped, LEGEND].join('\n');
}

/** Which of the wanted figures were reached; nothing when none of the benchmarks has one. */
export function formatTargets(benchmarks) {
  const lines = benchmarks.flatMap(({ title, figures, results }) =>
    figures
      .filter(({ target }) => target !== undefined && results[OURS] !== undefined)
      .map((figure) => `${title}: ${figure.label}: ${formatTarget(figure, results)}\n`),
  );
  return lines.length === 0 ? '' : `\nWanted:\n${lines.join('')}`;
}

function formatTarget({ key, unit, better, target }, results) {
  const ours = results[OURS].median;
  const value = ours[key];
  if (target.times === undefined) {
    const [word, wanted] = target.atMost === undefined ? ['least', target.atLeast] : ['most', target.atMost];
    const isMet = word === 'least' ? value >= wanted : value <= wanted;
    return `${formatValue(value)} ${unit}, wanted at ${word} ${formatNumber(wanted)}: ${verdict(value, isMet)}`;
  }
  const other = target.over === undefined ? results[target.peer]?.median[key] : ours[target.over];
  const ratio = better === 'higher' ? value / other : other / value;
  const known = Number.isFinite(ratio) ? ratio : undefined;
  return `x${formatValue(known)}, wanted x${target.times}: ${verdict(known, known >= target.times)}`;
}

function verdict(value, isMet) {
  if (value === undefined) return 'not measured';
  return isMet ? 'reached' : 'MISSED';
}

function formatValue(value) {
  return value === undefined ? '?' : formatNumber(value);
}

const LEGEND = `(xN): httpfstream is N times better than this peer.
*: the load generator was busy for 90 % of the time or more; the server may be faster than this.`;

function formatCell(figure, results, peer) {
  const result = results[peer];
  if (result === undefined) return '-';
  if (result.runs.every((run) => run.error !== undefined)) return 'failed';
  const value = result.median[figure.key];
  if (value === undefined) return '?';
  const mark = result.median.loadCpuShare >= SATURATED_SHARE ? '*' : '';
  return `${formatNumber(value)}${mark}${peer === OURS ? '' : formatRatio(figure, results, value)}`;
}

function formatRatio(figure, results, theirs) {
  const ours = results[OURS]?.median[figure.key];
  // Where one is nothing, or less, how many times better says nothing.
  if (!(ours > 0 && theirs > 0)) return '';
  return ` (x${formatNumber(figure.better === 'higher' ? ours / theirs : theirs / ours)})`;
}

/** Three digits that count. */
function formatNumber(number) {
  if (Math.abs(number) >= 100) return Math.round(number).toLocaleString('en-US');
  return number.toFixed(Math.abs(number) >= 10 ? 1 : 2);
}
