import { lineageChart, type LineageNode } from "../charts/lineage_chart.ts";
import { element, fill } from "../dom/element.ts";
import type { Library } from "../files/library.ts";
import { formatCount, formatNumber } from "../numbers/format.ts";
import { lineageOf } from "../numbers/lineage.ts";
import type { OpenedFile } from "../read/opened_file.ts";
import { fileHref } from "../route.ts";
import { directoryOf, nameOf } from "../../../storage/storage_path.ts";
import { emptyNotice } from "./notices.ts";
import type { View } from "./view.ts";

/** Which checkpoint came of which. */
export class LineageView implements View {
  readonly root: HTMLElement = element("article", {}, element("h1", {}, "Lineage"));
  readonly #library: Library;
  readonly #body: HTMLElement = element("div");
  #drawn = "";

  constructor(library: Library) {
    this.#library = library;
    this.root.append(this.#body);
    new ResizeObserver(() => this.update()).observe(this.#body);
    this.update();
  }

  update(): void {
    const nodes = this.#library.files.flatMap(({ opened }) =>
      opened === undefined || opened instanceof Error ? [] : nodeOf(opened)
    );
    const width = this.#body.clientWidth;
    const state = JSON.stringify([width, nodes.map(({ fileId }) => fileId)]);
    if (state === this.#drawn) return;
    this.#drawn = state;
    if (nodes.length === 0) {
      fill(
        this.#body,
        emptyNotice("No checkpoints yet", "Those of a run are drawn here by where each came from."),
      );
      return;
    }
    if (width === 0) return;
    fill(
      this.#body,
      element(
        "p",
        { class: "soft" },
        "From left to right by step. A dashed line is a resume; a second one from the same checkpoint is a lane of its own.",
      ),
      element("figure", { class: "chart wide" }, lineageChart(lineageOf(nodes), width)),
    );
  }
}

/** Only checkpoints have a place in time. */
function nodeOf({ path, fileId, provenance, metrics }: OpenedFile): LineageNode[] {
  const { step, order = 0, parent, runId } = provenance;
  if (fileId === undefined || step === undefined) return [];
  const figures = Object.entries(metrics).slice(0, 6).map(([name, value]) =>
    `${name} ${formatNumber(value)}`
  );
  const label = nameOf(path).replace(/\.cairn$/, "");
  const description = [label, `step ${formatCount(step)}`, ...figures].join("\n");
  const directory = directoryOf(path);
  return [{ fileId, step, order, parent, runId, directory, label, description, href: fileHref(path) }];
}
