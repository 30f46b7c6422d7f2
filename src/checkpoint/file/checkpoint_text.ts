import { safeText, shortNumber } from "../../base/printable.ts";
import type { Provenance } from "../../container/format/manifest.ts";

/** What of a checkpoint is shown. */
interface ShownCheckpoint {
  readonly tag: string;
  readonly path: string;
  readonly step: number | undefined;
  readonly provenance: Provenance;
  readonly metrics: Readonly<Record<string, number>>;
  readonly reader: { readonly tensors: readonly { readonly byteLength: number }[] };
}

/** A checkpoint for people: where it is, what it is of, what was measured. Nothing is read for it. */
export function checkpointText({ tag, path, step, provenance, metrics, reader }: ShownCheckpoint): string {
  const { epoch, createdAt, runId, order } = provenance;
  const { tensors } = reader;
  const bytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const measured = Object.entries(metrics).map(([name, value]) => `${safeText(name)} ${value}`);
  const of = (what: string, value: string | number | undefined): string[] =>
    value === undefined ? [] : [`${what} ${safeText(String(value))}`];
  return [
    `Checkpoint "${safeText(tag)}" (${safeText(path)})`,
    [
      ...of("step", step),
      ...of("epoch", epoch),
      ...of("saved", createdAt),
      ...of("commit", order),
      ...of("run", runId),
    ]
      .join(", "),
    `${tensors.length} ${tensors.length === 1 ? "tensor" : "tensors"}, ${shortNumber(bytes)}B`,
    measured.join(", "),
  ].filter((line) => line !== "").join("\n  ");
}
