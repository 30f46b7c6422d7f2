import * as Plot from "@observablehq/plot";
import type { Descended, Lineage, Placed } from "../numbers/lineage.ts";
import { formatCount } from "../numbers/format.ts";

/** A checkpoint in the picture. */
export interface LineageNode extends Descended {
  readonly label: string;
  /** Of several lines. */
  readonly description: string;
  /** A place of this page. */
  readonly href: string;
}

const LANE_HEIGHT = 54;

/** Checkpoints from left to right by step, a lane for each branch. */
export function lineageChart({ placed, descents, lanes }: Lineage<LineageNode>, width: number): Element {
  const steps = placed.map(({ checkpoint }) => checkpoint.step);
  const isCrowded = placed.length > 24;
  return Plot.plot({
    width,
    height: 64 + LANE_HEIGHT * lanes,
    marginLeft: 24,
    marginRight: 40,
    marginTop: 28,
    marginBottom: 36,
    x: {
      label: "step",
      labelAnchor: "center",
      labelArrow: "none",
      domain: [Math.min(0, ...steps), Math.max(1, ...steps)],
      tickFormat: (step: number) => Number.isInteger(step) ? formatCount(step) : "",
      ticks: Math.floor(width / 120),
    },
    y: { axis: null, domain: [-0.5, Math.max(0.5, lanes - 0.5)], reverse: true },
    marks: [
      ...[false, true].map((isResume) =>
        Plot.link(descents.filter((descent) => descent.isResume === isResume), {
          x1: ({ from }) => from.checkpoint.step,
          y1: ({ from }) => from.lane,
          x2: ({ to }) => to.checkpoint.step,
          y2: ({ to }) => to.lane,
          stroke: "var(--line-strong)",
          strokeWidth: 2,
          strokeDasharray: isResume ? "3,4" : "none",
          curve: "bump-x",
        })
      ),
      Plot.dot(placed, {
        x: ({ checkpoint }) => checkpoint.step,
        y: "lane",
        r: isCrowded ? 4 : 6,
        fill: "var(--accent)",
        stroke: "var(--surface)",
        strokeWidth: 2,
        href: ({ checkpoint }) => checkpoint.href,
        title: ({ checkpoint }) => checkpoint.description,
        tip: { fontSize: 12 },
      }),
      Plot.text(firstOfLanes(placed), {
        frameAnchor: "left",
        y: "lane",
        text: ({ checkpoint }) => checkpoint.directory,
        textAnchor: "start",
        dx: -16,
        dy: -16,
        fill: "var(--text)",
        fontWeight: 600,
        fontSize: 12,
      }),
      isCrowded ? null : Plot.text(placed, {
        x: ({ checkpoint }) => checkpoint.step,
        y: "lane",
        text: ({ checkpoint }) => checkpoint.label,
        dy: -16,
        fill: "var(--text-soft)",
        fontSize: 11,
      }),
    ],
  });
}

function firstOfLanes(placed: readonly Placed<LineageNode>[]): Placed<LineageNode>[] {
  return [...Map.groupBy(placed, ({ lane }) => lane).values()].flatMap(([first]) =>
    first === undefined ? [] : [first]
  );
}
