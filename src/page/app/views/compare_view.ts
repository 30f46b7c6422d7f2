import { chosen, element, fill } from "../dom/element.ts";
import type { KnownFile, Library } from "../files/library.ts";
import { formatCount, formatNumber, formatShape, formatShare } from "../numbers/format.ts";
import { type ComparedTensor, compareFiles, type Verdict } from "../read/compare_files.ts";
import type { OpenedFile, ShownTensor } from "../read/opened_file.ts";
import { emptyNotice, errorNotice } from "./notices.ts";
import { factList } from "./tensor_panel.ts";
import type { View } from "./view.ts";

const MOST_ROWS = 1_000;

/** Two files beside each other: what they say of themselves, and tensor by tensor how they differ. */
export class CompareView implements View {
  readonly root: HTMLElement = element("article", {}, element("h1", {}, "Compare"));
  readonly #library: Library;
  readonly #choice: HTMLElement = element("div", { class: "toolbar" });
  readonly #result: HTMLElement = element("div");
  #a: string | undefined;
  #b: string | undefined;
  #comparing = new AbortController();

  constructor(library: Library) {
    this.#library = library;
    this.root.append(this.#choice, this.#result);
    this.update();
  }

  update(): void {
    const files = this.#files();
    if (files.length < 2) {
      fill(this.#choice);
      fill(
        this.#result,
        emptyNotice("Two files are needed", "Drop another checkpoint on this page to compare it."),
      );
      return;
    }
    const paths = files.map(({ path }) => path);
    if (this.#a === undefined || !paths.includes(this.#a)) this.#a = paths.at(-2);
    if (this.#b === undefined || !paths.includes(this.#b)) this.#b = paths.at(-1);
    if (this.#choice.contains(document.activeElement)) return;
    fill(
      this.#choice,
      this.#select("A", paths, this.#a, (path) => this.#a = path),
      this.#select("B", paths, this.#b, (path) => this.#b = path),
      element("button", { type: "button", class: "primary", onclick: () => void this.#compare() }, "Compare"),
    );
    if (this.#result.childElementCount === 0 || this.#result.querySelector(".notice") !== null) {
      fill(this.#result);
    }
  }

  close(): void {
    this.#comparing.abort();
  }

  #files(): readonly KnownFile[] {
    return this.#library.files.filter(({ kind }) => kind !== "log").toSorted((a, b) =>
      a.modifiedMs - b.modifiedMs
    );
  }

  #select(
    label: string,
    paths: readonly string[],
    value: string | undefined,
    onChoose: (path: string) => void,
  ): HTMLElement {
    const options = paths.map((path) => element("option", { value: path, selected: path === value }, path));
    const select = element("select", {
      "aria-label": `File ${label}`,
      onchange: (event) => onChoose(chosen(event)),
    }, ...options);
    return element("label", {}, label, select);
  }

  async #compare(): Promise<void> {
    const { signal } = this.#restarted();
    const progress = element("progress", { max: "1", "aria-label": "Comparing" });
    fill(this.#result, progress);
    try {
      const [a, b] = await Promise.all([
        this.#library.open(this.#a ?? ""),
        this.#library.open(this.#b ?? ""),
      ]);
      const compared: ComparedTensor[] = [];
      await compareFiles(a, b, {
        signal,
        onTensor: (tensor, share) => {
          compared.push(tensor);
          progress.value = share;
        },
      });
      if (!signal.aborted) fill(this.#result, ...resultOf(a, b, compared));
    } catch (error) {
      if (!signal.aborted) fill(this.#result, errorNotice("They cannot be compared", error));
    }
  }

  #restarted(): AbortController {
    this.#comparing.abort();
    return this.#comparing = new AbortController();
  }
}

function resultOf(a: OpenedFile, b: OpenedFile, compared: readonly ComparedTensor[]): Element[] {
  const isEqual = ({ verdict }: ComparedTensor): boolean =>
    verdict.kind === "compared" && verdict.distance.different === 0;
  const differing = compared.filter((tensor) => !isEqual(tensor)).toSorted((x, y) =>
    weightOf(y) - weightOf(x)
  );
  const equal = compared.length - differing.length;
  const title = differing.length === 0
    ? `All ${formatCount(equal)} tensors have equal bits`
    : `${formatCount(differing.length)} of ${formatCount(compared.length)} tensors differ`;
  const facts = factsOf(a, b);
  const head = ["Tensor", "Shape", "Differ", "Largest", "Relative", "Cosine"].map((text, index) =>
    element("th", { scope: "col", class: index > 1 ? "number" : undefined }, text)
  );
  return [
    element("h2", {}, title),
    ...(facts.length === 0 ? [] : [factList(facts)]),
    ...(differing.length === 0 ? [] : [
      element(
        "table",
        { class: "compared" },
        element("thead", {}, element("tr", {}, ...head)),
        element("tbody", {}, ...differing.slice(0, MOST_ROWS).map(rowOf)),
      ),
    ]),
    ...(differing.length > MOST_ROWS
      ? [element("p", { class: "soft" }, `The ${formatCount(MOST_ROWS)} that differ most.`)]
      : []),
  ];
}

/** What differs most comes first. */
function weightOf({ verdict }: ComparedTensor): number {
  if (verdict.kind !== "compared") return Infinity;
  const { relative, notFinite } = verdict.distance;
  return notFinite > 0 ? Number.MAX_VALUE : relative;
}

/** Steps and metrics of both, where they differ. */
function factsOf(a: OpenedFile, b: OpenedFile): (readonly [string, string])[] {
  const figures = (file: OpenedFile): Map<string, number | undefined> =>
    new Map([
      ["step", file.provenance.step],
      ["epoch", file.provenance.epoch],
      ...Object.entries(file.metrics),
    ]);
  const [ofA, ofB] = [figures(a), figures(b)];
  const text = (value: number | undefined): string => value === undefined ? "–" : formatNumber(value);
  return [...new Set([...ofA.keys(), ...ofB.keys()])].flatMap((name) => {
    const [x, y] = [ofA.get(name), ofB.get(name)];
    return Object.is(x, y) ? [] : [[name, `${text(x)} → ${text(y)}`] as const];
  });
}

function rowOf({ name, tensor, verdict }: ComparedTensor): HTMLElement {
  return element(
    "tr",
    {},
    element("th", { scope: "row", class: "name" }, name),
    element("td", {}, formatShape(tensor.shape)),
    ...cellsOf(verdict),
  );
}

function cellsOf(verdict: Verdict): HTMLElement[] {
  if (verdict.kind !== "compared") {
    const isBad = verdict.kind === "unreadable";
    const badge = element(
      "span",
      { class: isBad ? "badge bad" : "badge" },
      isBad ? "cannot be read" : reasonOf(verdict),
    );
    return [element("td", { colspan: "4", title: isBad ? verdict.message : undefined }, badge)];
  }
  const { count, different, greatest, relative, cosine, notFinite } = verdict.distance;
  return [
    formatShare(different, count),
    notFinite === 0
      ? formatNumber(greatest, 3)
      : `${formatNumber(greatest, 3)}, NaN or infinite ${notFinite} times`,
    formatNumber(relative, 3),
    formatNumber(cosine, 6),
  ].map((text) => element("td", { class: "number" }, text));
}

function reasonOf(verdict: Exclude<Verdict, { kind: "compared" | "unreadable" }>): string {
  if (verdict.kind === "only") return `only in ${verdict.in.toUpperCase()}`;
  const form = ({ storedAs, shape }: ShownTensor): string => `${storedAs} ${formatShape(shape)}`;
  return `${form(verdict.a)} → ${form(verdict.b)}`;
}
