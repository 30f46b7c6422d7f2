import * as Plot from "@observablehq/plot";
import { formatCount, formatNumber } from "../numbers/format.ts";
import type { Histogram } from "../../../tensor/tensor_statistics.ts";

/** A histogram as bars. `width` in pixels. */
export function histogramChart({ min, max, counts }: Histogram, width: number): Element {
  // One value alone still has to be some pixels wide.
  const half = min === max ? Math.max(Math.abs(min) / 2, 0.5) : 0;
  const edge = (index: number): number => min - half + (max - min + 2 * half) * index / counts.length;
  const bars = counts.map((count, index) => ({ count, from: edge(index), to: edge(index + 1) }));
  return Plot.plot({
    width,
    height: 170,
    marginLeft: 8,
    marginRight: 8,
    marginTop: 8,
    marginBottom: 26,
    x: {
      label: null,
      tickFormat: (value: number) => formatNumber(value, 3),
      ticks: 5,
      domain: [edge(0), edge(counts.length)],
    },
    y: { axis: null },
    marks: [
      Plot.rectY(bars, {
        x1: "from",
        x2: "to",
        y: "count",
        fill: "var(--accent)",
        insetLeft: 0.5,
        insetRight: 0.5,
        title: ({ count, from, to }) =>
          `${formatNumber(from)} to ${formatNumber(to)}\n${formatCount(count)} elements`,
        tip: { fontSize: 12 },
      }),
      Plot.ruleY([0], { stroke: "var(--line-strong)" }),
    ],
  });
}
