import { TensorRef } from "../../../container/format/tensor_ref.ts";
import type { StateValue } from "../../../container/format/state_tree.ts";
import { element } from "../dom/element.ts";
import { formatCount, formatNumber } from "../numbers/format.ts";

const MOST_ENTRIES = 200;
const MOST_CHARACTERS = 2_000;

/** A tree of state, whose branches are drawn when they are opened. */
export function stateTree(label: string, value: StateValue, isOpen: boolean): HTMLElement {
  const entries = entriesOf(value);
  if (entries === undefined) {
    return element(
      "div",
      { class: "state-leaf" },
      element("span", { class: "key" }, label),
      " ",
      leaf(value),
    );
  }
  const children = element("div", { class: "state-branch" });
  const open = (): void => {
    if (children.childElementCount > 0) return;
    for (const [key, child] of entries.slice(0, MOST_ENTRIES)) children.append(stateTree(key, child, false));
    const more = entries.length - MOST_ENTRIES;
    if (more > 0) children.append(element("p", { class: "soft" }, `${formatCount(more)} more`));
  };
  if (isOpen) open();
  const summary = element(
    "summary",
    {},
    element("span", { class: "key" }, label),
    " ",
    element("span", { class: "soft" }, describe(value, entries.length)),
  );
  return element("details", { open: isOpen, ontoggle: open }, summary, children);
}

function entriesOf(value: StateValue): (readonly [string, StateValue])[] | undefined {
  if (Array.isArray(value)) return value.map((item, index) => [String(index), item]);
  if (value instanceof Map) return [...value].map(([key, item]) => [textOf(key), item]);
  if (value instanceof Set) return [...value].map((item, index) => [String(index), item]);
  const isPlain = typeof value === "object" && value !== null && !(value instanceof Date) &&
    !(value instanceof TensorRef);
  return isPlain ? Object.entries(value) : undefined;
}

function describe(value: StateValue, count: number): string {
  const kind = Array.isArray(value)
    ? "list"
    : value instanceof Map
    ? "Map"
    : value instanceof Set
    ? "Set"
    : "";
  return kind === "" ? `{ ${formatCount(count)} }` : `${kind} of ${formatCount(count)}`;
}

function leaf(value: StateValue): HTMLElement {
  const kind = typeof value === "string"
    ? "text"
    : typeof value === "number" || typeof value === "bigint"
    ? "figure"
    : "soft";
  return element("span", { class: kind }, textOf(value));
}

function textOf(value: StateValue): string {
  if (value instanceof TensorRef) return `${value.view ?? "tensor"} in ${value.name}`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "invalid date" : value.toISOString();
  if (typeof value === "number") return formatNumber(value, 8);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "string") return String(value);
  const text = JSON.stringify(value.slice(0, MOST_CHARACTERS));
  return value.length > MOST_CHARACTERS ? `${text} … of ${formatCount(value.length)} characters` : text;
}
