import { safeText } from "../../base/printable.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { TensorRef } from "../../container/format/tensor_ref.ts";
import { ComplexNumber } from "../../exchange/torch/pickle_values.ts";
import { TorchTensor } from "../../exchange/torch/torch_tensor.ts";
import { UnreadableTensor } from "../../exchange/unreadable_tensor.ts";
import { OpaqueValue } from "../../exchange/opaque_value.ts";
import { cut, numberText, shapeText } from "./text.ts";

/** A list of simple values up to this length is printed on one line. */
const INLINE = 8;
const DEEPEST = 50;

/**
 * Plain values as lines, indented by depth, at most `most` of them. Everything from a file is made safe. Tensors of
 * PyTorch are left out.
 */
export function treeLines(root: unknown, most: number, indent = "  "): string[] {
  const leaf = root === undefined ? "" : leafText(root);
  if (leaf !== undefined) return leaf === "" || leaf === "{}" ? [] : [indent + leaf];
  const lines: string[] = [];
  add(lines, root, { indent, depth: 0, most });
  if (lines.length < most) return lines;
  return [...lines.slice(0, most), `${indent}… more: --all shows it`];
}

interface Adding {
  readonly indent: string;
  readonly depth: number;
  readonly most: number;
}

function add(lines: string[], value: unknown, { indent, depth, most }: Adding): void {
  for (const [key, child] of entriesOf(value)) {
    // A file may share values so that its tree has no end.
    if (lines.length >= most) return;
    if (child instanceof TorchTensor || child instanceof UnreadableTensor) continue;
    const name = safeText(typeof key === "string" ? cut(key) : leafText(key) ?? "…");
    const leaf = depth >= DEEPEST ? "…" : leafText(child);
    if (leaf !== undefined) lines.push(`${indent}${name}: ${leaf}`);
    else {
      const before = lines.push(`${indent}${name}:`);
      add(lines, child, { indent: `${indent}  `, depth: depth + 1, most });
      // There was nothing but tensors.
      if (lines.length === before) lines.pop();
    }
  }
}

function entriesOf(value: unknown): Iterable<[unknown, unknown]> {
  if (value instanceof Map) return value.entries();
  if (value instanceof Set) return [...value].map((each, at) => [`#${at}`, each]);
  if (Array.isArray(value)) return value.map((each, at) => [String(at), each]);
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

/** A value that fits on the line of its key, or `undefined`. */
function leafText(value: unknown): string | undefined {
  if (typeof value === "string") {
    return safeText(JSON.stringify(cut(value)));
  }
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : numberText(value);
  if (typeof value === "bigint") return `${cut(String(value))}n`;
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "no date" : value.toISOString();
  if (value instanceof TensorRef) return `tensor ${safeText(value.name)}`;
  if (value instanceof HostTensor) return `array ${value.dtype} ${shapeText(value.shape)}`;
  if (value instanceof ComplexNumber) return `${value.real} + ${value.imaginary}i`;
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
  if (value instanceof OpaqueValue) return `a ${safeText(value.name)}`;
  const items = [...entriesOf(value)];
  if (items.length === 0) return Array.isArray(value) ? "[]" : "{}";
  if (!Array.isArray(value) || items.length > INLINE) return undefined;
  const texts = items.map(([, each]) =>
    typeof each === "object" && each !== null ? undefined : leafText(each)
  );
  return texts.includes(undefined) ? undefined : `[${texts.join(", ")}]`;
}
