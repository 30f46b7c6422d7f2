import type { Provenance } from "../../../container/format/manifest.ts";
import { historyCurves } from "../curves/history_curves.ts";
import { type Child, element, fill } from "../dom/element.ts";
import type { Library } from "../files/library.ts";
import { formatBytes, formatCount, formatNumber } from "../numbers/format.ts";
import type { OpenedFile } from "../read/opened_file.ts";
import { nameOf } from "../../../storage/storage_path.ts";
import { CurvePanel } from "./curve_panel.ts";
import { emptyNotice, errorNotice } from "./notices.ts";
import { stateTree } from "./state_tree.ts";
import { factList, TensorPanel } from "./tensor_panel.ts";
import { TensorTable } from "./tensor_table.ts";
import type { View } from "./view.ts";

type Tab = "Tensors" | "State" | "Curves";

/** One file: what it says of itself, its tensors, its state, and the curves that are kept in it. */
export class FileView implements View {
  readonly root: HTMLElement = element("article", { class: "file" });
  readonly #path: string;
  #verifying = new AbortController();
  #panel: TensorPanel | undefined;

  constructor(library: Library, path: string) {
    this.#path = path;
    fill(this.root, element("p", { class: "soft" }, `Opening ${nameOf(path)} …`));
    void library.open(path).then(
      (file) => this.#show(file, library.file(path)?.byteLength ?? file.storedBytes),
      (error) => fill(this.root, titleOf(path), errorNotice("This file cannot be opened", error)),
    );
  }

  close(): void {
    this.#verifying.abort();
    this.#panel?.close();
  }

  #show(file: OpenedFile, byteLength: number): void {
    const body = element("div", { class: "tab-body" });
    const table = new TensorTable(file.tensors, (tensor) => void panel.show(file, tensor));
    const panel = this.#panel = new TensorPanel((name, message) => table.markDamaged([name], message));
    const tensors = element("div", { class: "split" }, table.root, panel.root);
    const contents: Record<Tab, () => Element> = {
      Tensors: () => tensors,
      State: () => stateOf(file),
      Curves: () => curvesOf(file),
    };
    const bar = tabBar((tab) => fill(body, contents[tab]()));
    fill(
      this.root,
      titleOf(this.#path),
      element("p", { class: "summary" }, summaryOf(file, byteLength)),
      metricsOf(file),
      this.#verifyBar(file, table),
      bar,
      body,
    );
    fill(body, tensors);
  }

  #verifyBar({ verify }: OpenedFile, table: TensorTable): HTMLElement {
    if (verify === undefined) {
      return element("p", { class: "soft" }, "The format has no checksums: damage in it cannot be seen.");
    }
    const bar = element("div", { class: "toolbar" });
    const start = async (): Promise<void> => {
      this.#verifying = new AbortController();
      const progress = element("progress", { max: "1", "aria-label": "Verifying" });
      fill(bar, progress);
      try {
        const damaged = await verify(
          ({ done, total }) => progress.value = total === 0 ? 1 : done / total,
          this.#verifying.signal,
        );
        for (const { tensors, message } of damaged) table.markDamaged(tensors, message);
        const names = new Set(damaged.flatMap(({ tensors }) => tensors));
        const damage = names.size === 0
          ? damaged.map(({ message }) => message).join("; ")
          : [...names].join(", ");
        fill(
          bar,
          damaged.length === 0
            ? element("span", { class: "badge good" }, "every byte is sound")
            : element("span", { class: "badge bad" }, "damaged"),
          damaged.length > 0 && element("span", {}, damage),
        );
      } catch (error) {
        fill(bar, errorNotice("It cannot be verified", error));
      }
    };
    const button = element("button", { type: "button", onclick: () => void start() }, "Verify every byte");
    fill(bar, button);
    return bar;
  }
}

function titleOf(path: string): HTMLElement {
  const name = nameOf(path);
  const directory = path.slice(0, -name.length);
  return element("h1", {}, directory !== "" && element("span", { class: "soft" }, directory), name);
}

function tabBar(onTab: (tab: Tab) => void): HTMLElement {
  const tabs: readonly Tab[] = ["Tensors", "State", "Curves"];
  const buttons = tabs.map((tab) => {
    const choose = (): void => {
      for (const each of buttons) each.setAttribute("aria-selected", String(each.textContent === tab));
      onTab(tab);
    };
    const isFirst = tab === tabs[0];
    return element("button", {
      type: "button",
      role: "tab",
      "aria-selected": String(isFirst),
      onclick: choose,
    }, tab);
  });
  return element("div", { class: "tabs", role: "tablist" }, ...buttons);
}

/** One line that says what it is. */
function summaryOf(file: OpenedFile, byteLength: number): string {
  const raw = file.tensors.reduce(
    (sum, tensor) => sum + (tensor.aliasOf === undefined ? tensor.byteLength : 0),
    0,
  );
  const ratio = file.storedBytes === 0 ? 1 : raw / file.storedBytes;
  const { step, epoch, createdAt } = file.provenance;
  return [
    ...(step === undefined ? [] : [`step ${formatCount(step)}`]),
    ...(epoch === undefined ? [] : [`epoch ${formatCount(epoch)}`]),
    `${formatCount(file.tensors.length)} tensors`,
    formatBytes(byteLength),
    ...(ratio > 1.005 ? [`${formatNumber(ratio, 3)} : 1`] : []),
    ...(file.parts.length === 0 ? [] : [`${file.parts.length + 1} files`]),
    ...(createdAt === undefined ? [] : [new Date(createdAt).toLocaleString()]),
  ].join(" · ");
}

function metricsOf({ metrics }: OpenedFile): Child {
  const entries = Object.entries(metrics);
  return entries.length > 0 && element(
    "ul",
    { class: "metrics" },
    ...entries.map(([name, value]) =>
      element("li", {}, element("span", { class: "soft" }, name), element("b", {}, formatNumber(value)))
    ),
  );
}

function stateOf({ trees, provenance, fileId, parts }: OpenedFile): Element {
  const facts = [
    ...(fileId === undefined ? [] : [["file id", fileId] as const]),
    ...Object.entries(provenance).map(([name, value]) => [name, factOf(value)] as const),
    ...(parts.length === 0 ? [] : [["parts", parts.join(", ")] as const]),
  ];
  return element(
    "div",
    { class: "state" },
    facts.length > 0 && factList(facts),
    ...Object.entries(trees).map(([name, tree]) => stateTree(name, tree, true)),
  );
}

function factOf(value: Provenance[keyof Provenance]): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function curvesOf(file: OpenedFile): Element {
  const root = element("div", {}, element("p", { class: "soft" }, "Reading what the run measured …"));
  file.state().then((state) => {
    const curves = historyCurves(state, nameOf(file.path), file.path);
    if (curves === undefined) {
      fill(root, emptyNotice("No curves in it", "Only the checkpoints of a trainer keep what it measured."));
      return;
    }
    const panel = new CurvePanel();
    fill(root, panel.root);
    panel.show([curves]);
  }, (error) => fill(root, errorNotice("Its state cannot be read", error)));
  return root;
}
