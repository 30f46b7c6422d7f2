import { input } from "../../../src/graph/ops/sources.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { addTotals, type SetMetric, type Table, type Totals } from "../../../src/nn/metrics/metric.ts";
import type { DType } from "../../../src/base/dtype.ts";
import { elementCount } from "../../../src/tensor/shape.ts";
import { runValues } from "../../graph/run_values.ts";

/** The same of each example, one after the other. */
export interface Rows {
  readonly dtype: DType;
  /** Of one example. */
  readonly shape: readonly number[];
  readonly elements: readonly number[];
}

/** What `metric` counts of a set in batches of the sizes `sizes`, and what it says of it. */
export async function measured(
  gpu: GpuDevice,
  metric: SetMetric,
  output: Rows,
  labels: Rows,
  sizes: readonly number[],
): Promise<{ totals: Totals; result: number | Table }> {
  let totals: Totals | undefined;
  let first = 0;
  for (const size of sizes) {
    const part = await countOf(gpu, metric, rowsOf(output, first, size), rowsOf(labels, first, size), size);
    totals = totals === undefined ? part : metric.merge?.(totals, part) ?? addTotals(totals, part);
    first += size;
  }
  if (totals === undefined) throw new Error("There is no batch");
  return { totals, result: metric.result(totals) };
}

function rowsOf({ dtype, shape, elements }: Rows, first: number, size: number): Rows {
  const perRow = elementCount(shape);
  return { dtype, shape, elements: elements.slice(first * perRow, (first + size) * perRow) };
}

async function countOf(
  gpu: GpuDevice,
  metric: SetMetric,
  output: Rows,
  labels: Rows,
  size: number,
): Promise<Totals> {
  const counted = metric.count(
    input("output", output.dtype, [size, ...output.shape]),
    input("labels", labels.dtype, [size, ...labels.shape]),
  );
  const names = Object.keys(counted);
  const tensors = await runValues(gpu, Object.values(counted), {
    output: output.elements,
    labels: labels.elements,
  });
  return Object.fromEntries(
    tensors.map((tensor, index) => [names[index] ?? "", Float64Array.from(tensor.toArray() as Float32Array)]),
  );
}
