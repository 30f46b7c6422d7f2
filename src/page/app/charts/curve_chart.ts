import * as Plot from "@observablehq/plot";
import { isValidation, type Measure, type RunCurves } from "../curves/run_curves.ts";
import { formatCount, formatNumber } from "../numbers/format.ts";
import { smooth } from "../numbers/smooth.ts";
import { type Point, thin } from "../numbers/thin.ts";

/** How curves are drawn. */
export interface CurveStyle {
  readonly width: number;
  readonly height: number;
  /** See {@link smooth}. */
  readonly smoothing: number;
  readonly isLog: boolean;
  readonly colorOf: (run: RunCurves) => string;
}

/** A point as it is drawn. */
interface Drawn extends Point {
  readonly run: string;
  readonly series: string;
  readonly color: string;
}

/** Few enough that drawing takes no time that a person notices. */
const MOST_POINTS = 1_500;
/** Series that are so short are drawn with their points. */
const DOTTED = 40;

/** One measure of several runs over one another: that of training as a line, that of validation dashed. */
export function curveChart(runs: readonly RunCurves[], measure: Measure, style: CurveStyle): Element {
  const curves = runs.flatMap((run) => measure.series.map((series) => ({ run, series }))).flatMap(
    ({ run, series }) => {
      const points = run.series.get(series) ?? [];
      return points.length === 0 ? [] : [curveOf(run, series, points, style)];
    },
  );
  const all = curves.flatMap(({ shown }) => shown);
  return Plot.plot({
    width: style.width,
    height: style.height,
    marginLeft: 56,
    marginRight: 16,
    marginBottom: 30,
    x: {
      label: null,
      tickFormat: formatStep,
      ticks: Math.max(2, Math.floor(style.width / 110)),
      nice: false,
    },
    y: {
      label: null,
      grid: true,
      tickFormat: formatTick,
      ticks: 5,
      type: style.isLog ? "log" : "linear",
      nice: true,
    },
    color: { type: "identity" },
    marks: [
      Plot.ruleX(resumesOf(runs, style), {
        x: "step",
        stroke: "color",
        strokeOpacity: 0.6,
        strokeDasharray: "2,4",
      }),
      ...curves.map(({ raw }) => lineOf(raw, { strokeOpacity: 0.22, strokeWidth: 1 })),
      ...curves.map(({ shown, isDashed }) => lineOf(shown, isDashed ? { strokeDasharray: "4,3" } : {})),
      Plot.dot(curves.flatMap(({ shown }) => shown.length <= DOTTED ? shown : []), {
        x: "step",
        y: "value",
        fill: "color",
        r: 2.2,
      }),
      Plot.ruleX(all, Plot.pointerX({ x: "step", py: "value", stroke: "var(--line-strong)" })),
      Plot.dot(all, Plot.pointerX({ x: "step", y: "value", fill: "color", r: 4 })),
      Plot.tip(all, Plot.pointerX({ x: "step", y: "value", title: described, fontSize: 12 })),
    ],
  });
}

function curveOf(run: RunCurves, series: string, points: readonly Point[], style: CurveStyle) {
  const drawable = style.isLog ? points.filter(({ value }) => value > 0) : points;
  const drawn = (shown: readonly Point[]): Drawn[] =>
    thin(shown, MOST_POINTS).map((point) => ({ ...point, run: run.name, series, color: style.colorOf(run) }));
  const isSmoothed = style.smoothing > 0 && drawable.length > DOTTED;
  const values = smooth(drawable.map(({ value }) => value), style.smoothing);
  return {
    raw: isSmoothed ? drawn(drawable) : [],
    shown: drawn(
      isSmoothed ? drawable.map(({ step }, index) => ({ step, value: values[index] ?? NaN })) : drawable,
    ),
    isDashed: isValidation(series),
  };
}

/** Where runs went on from a checkpoint. */
function resumesOf(runs: readonly RunCurves[], { colorOf }: CurveStyle): { step: number; color: string }[] {
  return runs.flatMap((run) =>
    run.marks.filter(({ kind }) => kind === "resume").map(({ step }) => ({ step, color: colorOf(run) }))
  );
}

function lineOf(points: readonly Drawn[], options: Readonly<Record<string, number | string>>): Plot.Mark {
  return Plot.lineY(points, { x: "step", y: "value", stroke: "color", strokeWidth: 1.75, ...options });
}

function described({ run, series, step, value }: Drawn): string {
  return `${run}\n${series} ${formatNumber(value)}\nstep ${formatCount(step)}`;
}

function formatStep(step: number): string {
  if (!Number.isInteger(step)) return "";
  return step >= 10_000 ? `${formatNumber(step / 1000)}k` : formatCount(step);
}

function formatTick(value: number): string {
  return formatNumber(value, 3);
}
