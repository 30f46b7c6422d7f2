import { safeText } from "../../base/printable.ts";
import type { Manifest } from "../../container/format/manifest.ts";
import type { Inspection } from "./inspection.ts";
import type { ListedTensor } from "../open/opened_file.ts";
import type { Output } from "../print/output.ts";
import {
  bytesText,
  type Cell,
  type Column,
  countText,
  numberText,
  shapeText,
  shareText,
  styled,
  table,
  timeText,
} from "../print/text.ts";
import { treeLines } from "../print/tree.ts";
import { sparkline, type Statistics } from "./statistics.ts";

/** How long lists are unless all of them is asked for. */
const MOST_TENSORS = 100;
const MOST_LINES = 60;

const FORMATS = {
  cairn: "Cairn",
  safetensors: "safetensors",
  npz: "NumPy npz",
  npy: "NumPy npy",
  torch: "PyTorch",
} as const;

const COLUMNS: readonly Column[] = [
  { title: "tensor" },
  { title: "dtype" },
  { title: "shape" },
  { title: "raw", align: "right" },
  { title: "stored", align: "right" },
  { title: "ratio", align: "right" },
  { title: "codec" },
];
const STATISTICS_COLUMNS: readonly Column[] = [
  { title: "least", align: "right" },
  { title: "greatest", align: "right" },
  { title: "mean", align: "right" },
  { title: "zeros", align: "right" },
  { title: "NaN", align: "right" },
  { title: "infinite", align: "right" },
  { title: "histogram" },
];

/** What `inspect` prints for people. */
export function inspectionText(inspection: Inspection, output: Output): string {
  const { file, tensors, statistics, isAll } = inspection;
  const shown = isAll ? tensors : tensors.slice(0, MOST_TENSORS);
  const hasStatistics = statistics.size > 0;
  const rows = shown.map((tensor) => [
    ...tensorCells(tensor),
    ...hasStatistics ? statisticsCells(statistics.get(tensor.name)) : [],
  ]);
  const parts = [
    headLine(inspection, output),
    file.container === undefined ? "" : provenanceLines(file.container.manifest, file.container.fileId),
    tensors.length === 0
      ? ""
      : `\n${table(output, hasStatistics ? [...COLUMNS, ...STATISTICS_COLUMNS] : COLUMNS, rows)}`,
    shown.length < tensors.length
      ? `… ${countText(tensors.length - shown.length, "more tensor")}: --all shows them\n`
      : "",
    problemLines(tensors, output),
    stateLines(inspection, output),
  ];
  return parts.join("");
}

function problemLines(tensors: readonly ListedTensor[], output: Output): string {
  return tensors.flatMap(({ problem }) =>
    problem === undefined ? [] : [`${styled(output, "red", "damaged")} ${safeText(problem)}\n`]
  ).join("");
}

function headLine({ file, tensors, total }: Inspection, output: Output): string {
  const kind = file.container?.manifest.kind === "checkpoint"
    ? "Cairn checkpoint"
    : `${FORMATS[file.format]} file`;
  const raw = tensors.reduce(
    (sum, { byteLength, aliasOf }) => aliasOf === undefined ? sum + byteLength : sum,
    0,
  );
  const which = tensors.length === total
    ? countText(total, "tensor")
    : `${tensors.length} of ${countText(total, "tensor")}`;
  const files = file.fileCount === 1 ? "" : ` in ${countText(file.fileCount, "file")}`;
  return `${styled(output, "bold", safeText(file.label))}\n` +
    `  ${kind}, ${bytesText(file.fileBytes)}${files}; ${which}, ${bytesText(raw)} raw\n`;
}

function provenanceLines({ provenance, metrics }: Manifest, fileId: string): string {
  const { runId, tag, step, epoch, createdAt, writer, runtime, adapter, variants, order, parent, savedBy } =
    provenance;
  const counted = [
    tag === undefined ? undefined : `tag ${tag}`,
    step === undefined ? undefined : `step ${step}`,
    epoch === undefined ? undefined : `epoch ${epoch}`,
    order === undefined ? undefined : `order ${order}`,
  ];
  const rows: readonly (readonly [string, string | undefined])[] = [
    ["saved", joined([...counted, timeText(createdAt), savedBy === undefined ? undefined : `by ${savedBy}`])],
    ["metrics", joined(Object.entries(metrics).map(([name, value]) => `${name} ${numberText(value)}`))],
    ["run", runId],
    ["file id", fileId],
    ["parent", parent],
    ["written", joined([writer, runtime, adapter])],
    ["variants", joined(Object.entries(variants ?? {}).map(([name, value]) => `${name}: ${value}`))],
  ];
  return rows.filter(([, text]) => text !== undefined && text !== "")
    .map(([title, text]) => `  ${title.padEnd(8)} ${safeText(text ?? "")}\n`).join("");
}

function joined(texts: readonly (string | undefined)[]): string {
  return texts.filter((text) => text !== undefined && text !== "").join(", ");
}

function tensorCells(
  { name, dtype, storedAs, shape, byteLength, storedBytes, codecs, aliasOf }: ListedTensor,
): Cell[] {
  const isAlias = aliasOf !== undefined;
  return [
    name,
    dtype === undefined ? { text: storedAs, style: "yellow" } : dtype,
    shapeText(shape),
    bytesText(byteLength),
    isAlias || storedBytes === undefined ? "" : bytesText(storedBytes),
    isAlias || !storedBytes ? "" : (byteLength / storedBytes).toFixed(2),
    isAlias ? { text: `= ${aliasOf}`, style: "dim" } : codecs?.join("+") ?? "",
  ];
}

function statisticsCells(statistics: Statistics | undefined): Cell[] {
  if (statistics === undefined) return ["", "", "", "", "", "", ""];
  const { count, min, max, mean, zeros, nans, infinities, histogram } = statistics;
  const share = (part: number): Cell => part === 0 ? "0" : shareText(part, count);
  return [
    numberText(min),
    numberText(max),
    numberText(mean),
    share(zeros),
    { text: nans === 0 ? "0" : shareText(nans, count), style: nans === 0 ? undefined : "red" },
    share(infinities),
    sparkline(histogram),
  ];
}

function stateLines({ file, isAll }: Inspection, output: Output): string {
  const most = isAll ? Infinity : MOST_LINES;
  const title = (text: string): string => styled(output, "dim", text);
  const { state, user } = file.container?.manifest ?? { state: file.beside, user: undefined };
  const stateText = treeLines(state, most);
  const userText = treeLines(user, most);
  const named = file.format === "safetensors" ? "metadata" : "state";
  return [
    ...stateText.length === 0 ? [] : ["", title(named), ...stateText],
    ...userText.length === 0 ? [] : ["", title("user"), ...userText],
  ].map((line) => `${line}\n`).join("");
}
