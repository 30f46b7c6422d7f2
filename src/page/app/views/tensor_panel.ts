import { histogramChart } from "../charts/histogram_chart.ts";
import { element, fill } from "../dom/element.ts";
import { formatBytes, formatCount, formatNumber, formatShape, formatShare } from "../numbers/format.ts";
import { elementsOf } from "../numbers/tensor_tree.ts";
import { lookAtTensor, SAMPLE_BYTES, type TensorLook } from "../read/look_at_tensor.ts";
import type { OpenedFile, ShownTensor } from "../read/opened_file.ts";
import { errorNotice } from "./notices.ts";

/** What is shown of one tensor beside the list: its form, its statistics, its histogram. */
export class TensorPanel {
  readonly root: HTMLElement = element("aside", { class: "panel", "aria-live": "polite" });
  readonly #onDamage: (name: string, message: string) => void;
  #reading = new AbortController();

  /** `onDamage` is called for a tensor that cannot be read. */
  constructor(onDamage: (name: string, message: string) => void) {
    this.#onDamage = onDamage;
    fill(this.root, element("p", { class: "soft" }, "Choose a tensor to see its values."));
  }

  /** Reads a tensor and shows it. What was being read is given up. */
  async show(file: OpenedFile, tensor: ShownTensor, whole = false): Promise<void> {
    this.close();
    const { signal } = this.#reading = new AbortController();
    const bar = element("progress", { max: "1", "aria-label": "Reading the tensor" });
    const body = element("div", {}, bar);
    fill(this.root, ...headOf(tensor), body);
    try {
      const look = await lookAtTensor(file, tensor, { whole, signal, onShare: (share) => bar.value = share });
      if (signal.aborted) return;
      fill(body, ...this.#lookOf(look, file, tensor));
    } catch (error) {
      if (signal.aborted) return;
      fill(body, errorNotice("This tensor cannot be read", error));
      this.#onDamage(tensor.name, error instanceof Error ? error.message : String(error));
    }
  }

  /** Gives up what is being read. */
  close(): void {
    this.#reading.abort();
  }

  #lookOf(look: TensorLook, file: OpenedFile, tensor: ShownTensor): Element[] {
    if (look.statistics.count === 0) return [element("p", { class: "soft" }, "It has no elements.")];
    const sample = element(
      "p",
      { class: "soft" },
      `Of ${formatCount(look.statistics.count)} of its ${
        formatCount(elementsOf(tensor.shape))
      } elements, in blocks ` +
        `that lie evenly in it: tensors above ${formatBytes(SAMPLE_BYTES)} are not read whole. `,
      element("button", { type: "button", onclick: () => void this.show(file, tensor, true) }, "Read all"),
    );
    const hasFinite = !Number.isNaN(look.statistics.min);
    return [
      ...(hasFinite ? [element("figure", {}, histogramChart(look.histogram, 300))] : []),
      factList(statisticsOf(look)),
      ...(look.isSample ? [sample] : []),
      element("h3", {}, "First values"),
      element("p", { class: "values" }, look.beginning.map((value) => formatNumber(value)).join("  ")),
    ];
  }
}

function headOf(tensor: ShownTensor): Element[] {
  const isCoded = tensor.codecs.some((codec) => codec !== "raw");
  const coding = isCoded
    ? `, ${formatNumber(tensor.byteLength / tensor.storedBytes, 3)} : 1 by ${tensor.codecs.join(", ")}`
    : ", as it is";
  return [
    element("h2", { class: "name" }, tensor.name),
    factList([
      ["shape", formatShape(tensor.shape)],
      ["dtype", tensor.storedAs],
      ["elements", formatCount(elementsOf(tensor.shape))],
      ["bytes", formatBytes(tensor.byteLength)],
      ["stored", `${formatBytes(Math.round(tensor.storedBytes))}${coding}`],
      ...(tensor.aliasOf === undefined ? [] : [["same as", tensor.aliasOf] as const]),
    ]),
  ];
}

function statisticsOf({ statistics }: TensorLook): (readonly [string, string])[] {
  const { count, min, max, mean, deviation, zeros, nan, infinite } = statistics;
  const share = (part: number): string =>
    part === 0 ? "none" : `${formatCount(part)} (${formatShare(part, count)})`;
  return [
    ["min", formatNumber(min)],
    ["max", formatNumber(max)],
    ["mean", formatNumber(mean)],
    ["deviation", formatNumber(deviation)],
    ["zeros", share(zeros)],
    ["NaN", share(nan)],
    ...(infinite === 0 ? [] : [["infinite", share(infinite)] as const]),
  ];
}

/** Terms and what they are. */
export function factList(facts: readonly (readonly [term: string, value: string | Node])[]): HTMLElement {
  return element(
    "dl",
    { class: "facts" },
    ...facts.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]),
  );
}
