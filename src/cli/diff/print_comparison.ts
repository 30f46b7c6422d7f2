import { safeText } from "../../base/printable.ts";
import type { ListedTensor, OpenedFile } from "../open/opened_file.ts";
import type { Json } from "../print/json.ts";
import type { Output } from "../print/output.ts";
import {
  type Cell,
  type Column,
  countText,
  cut,
  numberText,
  shapeText,
  styled,
  table,
} from "../print/text.ts";
import { type Comparison, hasDifference, type TensorComparison } from "./comparison.ts";
import type { StateDifference } from "./compare_states.ts";

const MOST_LINES = 60;
const LONGEST_VALUE = 40;

const COLUMNS: readonly Column[] = [
  { title: "tensor" },
  { title: "A" },
  { title: "B" },
  { title: "difference" },
  { title: "greatest", align: "right" },
  { title: "relative", align: "right" },
  { title: "cosine", align: "right" },
];

const WORDS: Readonly<Record<TensorComparison["status"], string>> = {
  equal: "none",
  close: "within the tolerance",
  differs: "values",
  shape: "shape",
  only_a: "only in A",
  only_b: "only in B",
  unreadable: "of a dtype that cannot be read",
  damaged: "damaged",
};

/** What `diff` prints for people. */
export function comparisonText(
  files: { readonly a: OpenedFile; readonly b: OpenedFile },
  comparison: Comparison,
  isAll: boolean,
  output: Output,
): string {
  const { tensors, state } = comparison;
  const listed = isAll ? tensors : tensors.filter(({ status }) => status !== "equal");
  const shown = isAll ? listed : listed.slice(0, MOST_LINES);
  const equal = tensors.filter(({ status }) => status === "equal").length;
  const lines = isAll ? state : state.slice(0, MOST_LINES);
  return [
    `A  ${styled(output, "bold", safeText(files.a.label))}\nB  ${
      styled(output, "bold", safeText(files.b.label))
    }\n`,
    shown.length === 0 ? "" : `\n${table(output, COLUMNS, shown.map(rowOf))}`,
    more(listed.length - shown.length, "tensor"),
    ...tensors.flatMap(({ problem }) =>
      problem === undefined ? [] : [`${styled(output, "red", "damaged")} ${safeText(problem)}\n`]
    ),
    lines.length === 0 ? "" : `\n${styled(output, "dim", "state")}\n`,
    ...lines.map((each) => stateLine(each, output)),
    more(state.length - lines.length, "place"),
    hasDifference(comparison) || shown.length > 0 ? "\n" : "",
    `${equal} of ${countText(tensors.length, "tensor")} ${tensors.length === 1 ? "has" : "have"} equal bits` +
    `${state.length === 0 ? "" : `; the state differs in ${countText(state.length, "place")}`}\n`,
  ].join("");
}

/** What `diff --json` prints. */
export function comparisonJson(
  files: { readonly a: OpenedFile; readonly b: OpenedFile },
  comparison: Comparison,
): Json {
  const form = (tensor: ListedTensor | undefined): Json =>
    tensor === undefined ? undefined : { dtype: tensor.dtype ?? tensor.storedAs, shape: tensor.shape };
  return {
    a: files.a.label,
    b: files.b.label,
    isSame: !hasDifference(comparison),
    tensors: comparison.tensors.map(({ name, status, a, b, distance, problem }) => ({
      name,
      status,
      a: form(a),
      b: form(b),
      ...distance,
      problem,
    })),
    state: comparison.state.map((each) => ({ ...each })),
  };
}

function rowOf({ name, status, a, b, distance }: TensorComparison): Cell[] {
  const forms = [a, b].map((tensor) =>
    tensor === undefined ? "" : `${tensor.dtype ?? tensor.storedAs} ${shapeText(tensor.shape)}`
  );
  const style = status === "equal" ? "green" : status === "close" ? "yellow" : "red";
  const odd = distance === undefined || distance.notFinite === 0
    ? ""
    : `, NaN or infinite ${distance.notFinite} times`;
  return [
    name,
    forms[0] ?? "",
    forms[1] === forms[0] ? "" : forms[1] ?? "",
    { text: WORDS[status] + odd, style },
    ...distance === undefined || status === "equal"
      ? ["", "", ""]
      : [numberText(distance.greatest), numberText(distance.relative), distance.cosine.toFixed(6)],
  ];
}

function stateLine({ path, a, b }: StateDifference, output: Output): string {
  const value = (text: string): string => safeText(cut(text, LONGEST_VALUE));
  const name = safeText(cut(path));
  if (a === undefined) return `  ${styled(output, "green", `+ ${name}: ${value(b ?? "")}`)}\n`;
  if (b === undefined) return `  ${styled(output, "red", `- ${name}: ${value(a)}`)}\n`;
  return `  ${name}: ${value(a)} → ${value(b)}\n`;
}

function more(count: number, noun: string): string {
  return count <= 0 ? "" : `… ${countText(count, `more ${noun}`)}: --all shows them\n`;
}
