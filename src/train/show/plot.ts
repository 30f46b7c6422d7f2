import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { escapeMarkup } from "../../base/text/escape_markup.ts";
import { axisOf, type Curve, curvesOf, type PlottedHistory } from "./curves.ts";

/** Options of {@link plot}. */
export interface PlotOptions {
  /** Of the picture, in pixels. Default 640. */
  readonly width?: number | undefined;
  /** Of each of its parts, in pixels. Default 240. */
  readonly height?: number | undefined;
  /** Stands above it. Default: nothing. */
  readonly title?: string | undefined;
}

/** Every option of {@link PlotOptions}. */
export const PLOT_OPTIONS: OptionNames<PlotOptions> = { width: true, height: true, title: true };

/** Okabe and Ito's colours, which people tell apart whatever they see of colour. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
const MARGIN = { left: 56, right: 12, top: 8, bottom: 36 };
const TITLE_HEIGHT = 24;
const LEGEND_HEIGHT = 20;

/**
 * The curves of a run as a picture: losses of the steps and of what was measured, and below them every other metric.
 *
 * @returns SVG, in which text from the history is text.
 * @throws RangeError for a width or a height that is no number from 100.
 */
export function plot(history: PlottedHistory, options: PlotOptions = {}): string {
  const { width = 640, height = 240, title } = checkOptions(
    "plot()",
    options,
    PLOT_OPTIONS,
    "{ width: 640 }",
  );
  for (const [name, size] of Object.entries({ width, height })) {
    if (Number.isFinite(size) && size >= 100) continue;
    throw new RangeError(`plot(): ${name} is a number of pixels from 100, found ${size}`);
  }
  const panels = curvesOf(history, width - MARGIN.left - MARGIN.right);
  const top = title === undefined ? 0 : TITLE_HEIGHT;
  const total = top + Math.max(1, panels.length) * height;
  const parts = panels.map((curves, index) =>
    panel(curves, history.loss.length, width, height, top + index * height)
  );
  const heading = title === undefined ? [] : [text(width / 2, 16, title, "middle")];
  const nothing = panels.length > 0
    ? []
    : [text(width / 2, top + height / 2, "nothing was measured yet", "middle")];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${total}" viewBox="0 0 ${width} ${total}" ` +
    'font-family="sans-serif" font-size="11" role="img">',
    `<rect width="${width}" height="${total}" fill="#ffffff"/>`,
    ...heading,
    ...nothing,
    ...parts,
    "</svg>",
  ].join("\n");
}

function panel(curves: readonly Curve[], steps: number, width: number, height: number, top: number): string {
  const left = MARGIN.left;
  const right = width - MARGIN.right;
  const high = top + MARGIN.top + LEGEND_HEIGHT;
  const low = top + height - MARGIN.bottom;
  const values = axisOf(curves.flatMap(({ points }) => points.map(([, value]) => value)));
  const last = Math.max(steps, ...curves.flatMap(({ points }) => points.map(([step]) => step)), 1);
  const x = (step: number): number => left + (right - left) * step / last;
  const y = (value: number): number =>
    low - (low - high) * (value - values.least) / (values.most - values.least);
  const marks = [0, last / 2, last].map(Math.round).filter((step, index, all) => all.indexOf(step) === index);
  return [
    ...values.marks.flatMap((value) => [
      `<line x1="${left}" x2="${right}" y1="${pixel(y(value))}" y2="${pixel(y(value))}" stroke="#dddddd"/>`,
      text(left - 6, y(value) + 4, shortNumber(value), "end"),
    ]),
    ...marks.map((step) => text(x(step), low + 14, step.toLocaleString("en"), "middle")),
    text((left + right) / 2, low + 28, "step", "middle"),
    ...curves.map((curve, index) => line(curve, COLOURS[index % COLOURS.length] ?? "", x, y)),
    ...legend(curves, left, top + MARGIN.top + 12, right),
  ].join("\n");
}

function line(
  { points, isThin }: Curve,
  colour: string,
  x: (step: number) => number,
  y: (value: number) => number,
) {
  const path = points.map(([step, value]) => `${pixel(x(step))},${pixel(y(value))}`).join(" ");
  const style = isThin ? 'stroke-width="1" stroke-opacity="0.5"' : 'stroke-width="1.5"';
  const drawn = `<polyline points="${path}" fill="none" stroke="${colour}" ${style}/>`;
  if (isThin) return drawn;
  const dots = points.map(([step, value]) =>
    `<circle cx="${pixel(x(step))}" cy="${pixel(y(value))}" r="2" fill="${colour}"/>`
  );
  return [drawn, ...dots].join("\n");
}

function legend(curves: readonly Curve[], left: number, baseline: number, right: number): string[] {
  let at = left;
  return curves.flatMap(({ name }, index) => {
    const from = at;
    // As wide as the font is, about.
    at += 24 + 7 * name.length;
    if (at > right && index > 0) return [];
    const colour = COLOURS[index % COLOURS.length] ?? "";
    return [
      `<rect x="${pixel(from)}" y="${baseline - 8}" width="10" height="8" fill="${colour}"/>`,
      text(from + 14, baseline, name, "start"),
    ];
  });
}

function text(x: number, y: number, content: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${pixel(x)}" y="${pixel(y)}" text-anchor="${anchor}" fill="#333333">${
    escapeMarkup(content)
  }</text>`;
}

function pixel(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}
