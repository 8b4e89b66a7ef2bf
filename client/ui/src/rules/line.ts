//! The line of a small chart.

/** Points of a polyline in a box of this width and height; a flat line at the bottom for nothing. */
export function points(counts: readonly number[], width: number, height: number): string {
  const most = Math.max(1, ...counts);
  const step = counts.length > 1 ? width / (counts.length - 1) : 0;
  return counts.map((count, at) => `${round(at * step)},${round(height - (count / most) * height)}`).join(" ");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
