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
export function formatTable(benchmarks, allPeers) {
  const peers = Object.keys(allPeers).filter((peer) => benchmarks.some(({ results }) => results[peer]));
  const rows = [['', '', ...peers.map((peer) => allPeers[peer].title)]];
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

/**
 * Which of the wanted figures were reached; nothing when none of the benchmarks
 * has one. What is wanted is in a figure's `targets`, each a number that the
 * figure is to be `atLeast` or `atMost`, of itself, as a multiple of the same figure `ofPeer`, or of our own
 * `ofFigure`, or as what it is `abovePeer`; `or` is another target that will do.
 */
export function formatTargets(benchmarks, peers) {
  const lines = benchmarks.flatMap(({ title, figures, results }) =>
    figures.flatMap((figure) =>
      (figure.targets ?? [])
        // Where nothing is compared with a baseline nothing is missing.
        .filter(({ ofPeer }) => results[OURS] !== undefined && (ofPeer !== 'baseline' || results.baseline))
        .map(
          (target) =>
            `${title}: ${figure.label}: ${formatTarget(target, figure, { figures, results, peers })}\n`,
        ),
    ),
  );
  return lines.length === 0 ? '' : `\nWanted:\n${lines.join('')}`;
}

function formatTarget(target, figure, measured) {
  const ways = target.or === undefined ? [target] : [target, target.or];
  const judged = ways.map((way) => judge(way, figure, measured));
  const isMet = judged.some(({ isMet }) => isMet);
  const isKnown = judged.some(({ isKnown }) => isKnown);
  return `${judged.map(({ text }) => text).join(', or ')}: ${verdict(isKnown, isMet)}`;
}

function judge({ atLeast, atMost, ofPeer, abovePeer, ofFigure }, { key, unit }, { figures, results, peers }) {
  const ours = results[OURS].median;
  const isShare = ofPeer !== undefined || ofFigure !== undefined;
  const peer = ofPeer ?? abovePeer;
  const other = ofFigure === undefined ? results[peer]?.median[key] : ours[ofFigure];
  const value = isShare ? ours[key] / other : ours[key] - (abovePeer === undefined ? 0 : other);
  const isKnown = Number.isFinite(value);
  const found = isKnown ? formatNumber(value) : '?';
  const whose = peers[peer]?.title ?? figures.find(({ key }) => key === ofFigure)?.label;
  const wanted =
    atLeast === undefined ? `at most ${formatNumber(atMost)}` : `at least ${formatNumber(atLeast)}`;
  const measured = isShare ? `${found} of ${whose}` : `${found} ${unit}`;
  return {
    text: `${measured}${abovePeer === undefined ? '' : ` above ${whose}`}, wanted ${wanted}`,
    isKnown,
    isMet: isKnown && (atLeast === undefined ? value <= atMost : value >= atLeast),
  };
}

function verdict(isKnown, isMet) {
  if (!isKnown) return 'not measured';
  return isMet ? 'reached' : 'MISSED';
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
