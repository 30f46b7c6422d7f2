import { chosen, element, fill } from "../dom/element.ts";
import { formatBytes, formatCount, formatNumber, formatShape } from "../numbers/format.ts";
import { leafOf, searchTensors, tensorTree, type TreeModule } from "../numbers/tensor_tree.ts";
import type { ShownTensor } from "../read/opened_file.ts";

/** More rows than a person reads; a search gets to the others. */
const MOST_ROWS = 600;
/** A file with no more tensors is shown with all its modules open. */
const OPEN_BELOW = 80;

type Module = TreeModule<ShownTensor>;

/** The tensors of a file as a tree of modules, with a search. */
export class TensorTable {
  readonly root: HTMLElement;
  readonly #tensors: readonly ShownTensor[];
  readonly #onChoose: (tensor: ShownTensor) => void;
  readonly #body: HTMLElement = element("tbody");
  readonly #count: HTMLElement = element("span", { class: "soft" });
  readonly #closed = new Set<string>();
  readonly #damage = new Map<string, string>();
  #query = "";
  #chosen: string | undefined;

  constructor(tensors: readonly ShownTensor[], onChoose: (tensor: ShownTensor) => void) {
    this.#tensors = tensors;
    this.#onChoose = onChoose;
    if (tensors.length > OPEN_BELOW) this.#closeBelow(tensorTree(tensors), 0);
    const search = element("input", {
      type: "search",
      placeholder: "Search tensors",
      "aria-label": "Search tensors",
      spellcheck: "false",
      oninput: (event) => {
        this.#query = chosen(event);
        this.#draw();
      },
    });
    const head = ["Name", "Shape", "Type", "Size", "Ratio"].map((title, index) =>
      element("th", { scope: "col", class: index > 2 ? "number" : undefined }, title)
    );
    this.root = element(
      "section",
      { class: "tensors" },
      element("div", { class: "toolbar" }, search, this.#count),
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), this.#body),
    );
    this.#draw();
  }

  /** Marks tensors that cannot be read. */
  markDamaged(names: Iterable<string>, message: string): void {
    for (const name of names) this.#damage.set(name, message);
    this.#draw();
  }

  #closeBelow({ modules }: Module, depth: number): void {
    for (const module of modules) {
      if (depth > 0) this.#closed.add(module.path);
      this.#closeBelow(module, depth + 1);
    }
  }

  #draw(): void {
    const found = searchTensors(this.#tensors, this.#query);
    const rows: HTMLElement[] = [];
    const total = this.#addRows(tensorTree(found), 0, rows);
    const all = formatCount(this.#tensors.length);
    this.#count.textContent = found.length === this.#tensors.length
      ? `${all} tensors`
      : `${formatCount(found.length)} of ${all} tensors`;
    if (total > rows.length) {
      rows.push(wideRow(`${formatCount(total - rows.length)} more rows; search to get to them`));
    }
    if (total === 0) {
      rows.push(
        wideRow(this.#tensors.length === 0 ? "There are no tensors in it" : "No tensor has that in its name"),
      );
    }
    fill(this.#body, ...rows);
  }

  /** Gives how many rows there are, also of those that are not added. */
  #addRows(module: Module, depth: number, rows: HTMLElement[]): number {
    let count = 0;
    const add = (row: () => HTMLElement): void => {
      if (rows.length < MOST_ROWS) rows.push(row());
      count++;
    };
    // The root has a row only where it is joined with its one module.
    const isRow = module.path !== "";
    if (isRow) add(() => this.#moduleRow(module, depth));
    if (isRow && this.#isClosed(module)) return count;
    const inside = isRow ? depth + 1 : depth;
    for (const child of module.modules) count += this.#addRows(child, inside, rows);
    for (const tensor of module.tensors) add(() => this.#tensorRow(tensor, inside));
    return count;
  }

  #isClosed({ path }: Module): boolean {
    return this.#query === "" && this.#closed.has(path);
  }

  #moduleRow(module: Module, depth: number): HTMLElement {
    const isOpen = !this.#isClosed(module);
    const toggle = (): void => {
      if (isOpen) this.#closed.add(module.path);
      else this.#closed.delete(module.path);
      this.#draw();
    };
    const button = element(
      "button",
      { type: "button", class: "fold", "aria-expanded": String(isOpen), onclick: toggle },
      module.label,
    );
    return element(
      "tr",
      { class: "module" },
      element("th", { scope: "row", class: depthClass(depth) }, button),
      element("td", { colspan: "2", class: "soft" }, `${formatCount(module.elementCount)} values`),
      element("td", { class: "number soft" }, formatBytes(module.byteLength)),
      element("td"),
    );
  }

  #tensorRow(tensor: ShownTensor, depth: number): HTMLElement {
    const { name, shape, storedAs, byteLength, storedBytes, aliasOf } = tensor;
    const damage = this.#damage.get(name);
    const choose = (): void => {
      this.#chosen = name;
      this.#draw();
      this.#onChoose(tensor);
    };
    const label = element(
      "button",
      { type: "button", class: "leaf", title: name, onclick: choose },
      leafOf(name),
    );
    return element(
      "tr",
      {
        class: "tensor",
        "aria-selected": String(this.#chosen === name),
        onclick: (event) => {
          if (event.target !== label) choose();
        },
      },
      element(
        "th",
        { scope: "row", class: depthClass(depth) },
        label,
        damage !== undefined && element("span", { class: "badge bad", title: damage }, "damaged"),
        aliasOf !== undefined &&
          element("span", { class: "badge", title: `The same bytes as ${aliasOf}` }, "alias"),
      ),
      element("td", {}, formatShape(shape)),
      element("td", {}, storedAs),
      element("td", { class: "number" }, formatBytes(byteLength)),
      element(
        "td",
        { class: "number soft" },
        storedBytes === 0 ? "" : formatNumber(byteLength / storedBytes, 3),
      ),
    );
  }
}

/** How far a row stands to the right: classes, since a style cannot be set. */
function depthClass(depth: number): string {
  return `depth-${Math.min(depth, 8)}`;
}

function wideRow(text: string): HTMLElement {
  return element("tr", {}, element("td", { colspan: "5", class: "soft wide" }, text));
}
