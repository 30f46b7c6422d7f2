import { curveChart } from "../charts/curve_chart.ts";
import { measuresOf, type RunCurves } from "../curves/run_curves.ts";
import { chosen, element, fill } from "../dom/element.ts";
import { formatCount, formatNumber } from "../numbers/format.ts";
import { emptyNotice } from "./notices.ts";

/** As many as can be told apart; further runs begin again. */
const COLORS = 8;

/** The curves of some runs over one another, a picture for each measure, and what changes how they are drawn. */
export class CurvePanel {
  readonly root: HTMLElement = element("div", { class: "curves" });
  readonly #legend: HTMLElement = element("ul", { class: "legend" });
  readonly #charts: HTMLElement = element("div", { class: "charts" });
  readonly #hidden = new Set<string>();
  readonly #colors = new Map<string, string>();
  #runs: readonly RunCurves[] = [];
  #smoothing = 0.8;
  #isLog = false;

  constructor() {
    const smoothing = element("input", {
      type: "range",
      min: "0",
      max: "0.99",
      step: "0.01",
      value: String(this.#smoothing),
      "aria-label": "Smoothing",
      oninput: (event) => {
        this.#smoothing = Number(chosen(event));
        this.#drawCharts();
      },
    });
    const log = element("input", {
      type: "checkbox",
      onchange: () => {
        this.#isLog = log.checked;
        this.#drawCharts();
      },
    });
    const controls = element(
      "div",
      { class: "toolbar" },
      element("label", {}, "Smoothing", smoothing),
      element("label", {}, log, "Log scale"),
    );
    fill(this.root, element("div", { class: "curve-head" }, this.#legend, controls), this.#charts);
    new ResizeObserver(() => this.#drawCharts()).observe(this.#charts);
  }

  /** Shows these runs. Those that were hidden stay so, and each keeps its colour. */
  show(runs: readonly RunCurves[]): void {
    this.#runs = runs;
    for (const { path } of runs) {
      if (!this.#colors.has(path)) this.#colors.set(path, `var(--run-${this.#colors.size % COLORS})`);
    }
    this.#drawLegend();
    this.#drawCharts();
  }

  #drawLegend(): void {
    fill(this.#legend, ...this.#runs.map((run) => this.#entry(run)));
  }

  #entry(run: RunCurves): HTMLElement {
    const { path, name, badLines } = run;
    const isShown = !this.#hidden.has(path);
    const toggle = (): void => {
      if (isShown) this.#hidden.add(path);
      else this.#hidden.delete(path);
      this.#drawLegend();
      this.#drawCharts();
    };
    const swatch = element("span", {
      class: `swatch run-${[...this.#colors.keys()].indexOf(path) % COLORS}`,
    });
    return element(
      "li",
      {},
      element(
        "button",
        {
          type: "button",
          class: "legend-entry",
          "aria-pressed": String(isShown),
          title: path,
          onclick: toggle,
        },
        swatch,
        name,
      ),
      element("span", { class: "soft" }, lastOf(run)),
      badLines > 0 && element("span", { class: "badge bad" }, `${formatCount(badLines)} lines unread`),
    );
  }

  #drawCharts(): void {
    const width = this.#charts.clientWidth;
    if (width === 0) return;
    const runs = this.#runs.filter(({ path }) => !this.#hidden.has(path));
    const measures = measuresOf(runs);
    if (measures.length === 0) {
      fill(
        this.#charts,
        emptyNotice("Nothing measured yet", "Curves are drawn as soon as there is a step to draw."),
      );
      return;
    }
    const hasResumes = runs.some(({ marks }) => marks.some(({ kind }) => kind === "resume"));
    const columns = width > 760 && measures.length > 1 ? 2 : 1;
    fill(
      this.#charts,
      ...measures.map((measure, index) => {
        const isWide = index === 0 || columns === 1;
        const chart = curveChart(runs, measure, {
          width: isWide ? width : Math.floor((width - 24) / 2),
          height: index === 0 ? 300 : 200,
          smoothing: this.#smoothing,
          isLog: this.#isLog,
          colorOf: ({ path }) => this.#colors.get(path) ?? "var(--accent)",
        });
        const [, dashed] = measure.series;
        const notes = [
          ...(dashed === undefined ? [] : [`dashed: ${dashed}`]),
          ...(index === 0 && hasResumes ? ["dotted upright: went on from a checkpoint"] : []),
        ].join(" · ");
        const caption = element("figcaption", {}, measure.name, element("span", { class: "soft" }, notes));
        return element("figure", { class: isWide ? "chart wide" : "chart" }, caption, chart);
      }),
    );
  }
}

function lastOf({ series }: RunCurves): string {
  const last = series.get("loss")?.at(-1);
  return last === undefined ? "" : `step ${formatCount(last.step)}, loss ${formatNumber(last.value)}`;
}
