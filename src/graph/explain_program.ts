import { layerOf } from "./create_value.ts";
import { flopsOf } from "./flops.ts";
import type { LoweredStep } from "./lower_program.ts";
import { regionsOf } from "./memory_plan.ts";
import type { Binding, Region } from "./op.ts";
import { reachable, type Value } from "./value.ts";

/** Some dispatches of a program, one after the other, that compute one result. */
export interface KernelExplanation {
  /** What the kernel is called. */
  readonly kernel: string;
  /** What is computed, such as `%12 matmul f32 [64, 10] <- %4, %11`. */
  readonly result: string;
  /** Path of its layer; `undefined` outside of all layers. */
  readonly layer: string | undefined;
  /** Whether it is on the way to the loss, of the gradients, or of what comes behind them. */
  readonly phase: "forward" | "backward" | "update";
  /** How many dispatches it takes. */
  readonly dispatches: number;
  /** Bytes of all memory that these dispatches bind, whether they read it or write it. */
  readonly bytes: number;
  /** About how many floating-point operations; those of an optimiser's own kernels are not known, and count as 0. */
  readonly flops: number;
  /** Milliseconds on the GPU, where it was measured. */
  readonly ms: number | undefined;
}

/** A compiled program, taken apart. */
export interface ProgramExplanation {
  /** What the program is called. */
  readonly label: string;
  /** In order of execution. */
  readonly kernels: readonly KernelExplanation[];
  /** Dispatches of one run. */
  readonly dispatches: number;
  /** Compute pipelines; equal kernels share one. */
  readonly pipelines: number;
  /** Elementwise ops that run inside the kernel of another. */
  readonly fusedOps: number;
  /** Bytes of what is kept from the way to the loss for the way back. */
  readonly activationBytes: number;
  /** Bytes of memory that its results take, and its inputs and constants: all GPU buffers of the program. */
  readonly workspaceBytes: number;
  /** The most bytes of those that are needed at one time: no plan for the same order of dispatches takes less. */
  readonly leastBytes: number;
}

/** What a program consists of, for {@link explainKernels}. */
export interface ExplainedSteps {
  readonly steps: readonly LoweredStep[];
  /** How many of them are no update. */
  readonly updatesFrom: number;
  /** What is on the way to the loss: everything unless given. */
  readonly forward: Iterable<Value>;
  /** Of each step, where they were measured. */
  readonly ms: readonly number[] | undefined;
}

/** Bytes of the regions among `computed` that a step on the way to the loss uses, and one of the way back after it. */
export function keptBytes(
  { steps, updatesFrom, forward }: Omit<ExplainedSteps, "ms">,
  computed: ReadonlySet<Region>,
): number {
  const isForward = new Set(reachable(forward));
  const begun = new Set<Region>();
  const kept = new Set<Region>();
  for (const step of steps.slice(0, updatesFrom)) {
    const isOnTheWay = resultIn(isForward, step);
    for (const region of regionsOf(step).filter((each) => computed.has(each))) {
      if (isOnTheWay) begun.add(region);
      else if (begun.has(region)) kept.add(region);
    }
  }
  return [...kept].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** The steps of a program, those of one result in one row. */
export function explainKernels({ steps, updatesFrom, forward, ms }: ExplainedSteps): KernelExplanation[] {
  const isForward = new Set(reachable(forward));
  const rows: (KernelExplanation & { readonly text: string })[] = [];
  steps.forEach((step, index) => {
    const { text, dispatch: { label, bindings } } = step;
    const values = step.values ?? [];
    const [first] = values;
    const isUpdate = index >= updatesFrom;
    const last = rows.at(-1);
    const time = ms?.[index];
    const bytes = bindings.reduce((sum, binding) => sum + bytesOf(binding), 0);
    if (last !== undefined && !isUpdate && last.text === text) {
      const sum = last.ms === undefined || time === undefined ? undefined : last.ms + time;
      rows[rows.length - 1] = {
        ...last,
        dispatches: last.dispatches + 1,
        bytes: last.bytes + bytes,
        ms: sum,
      };
      return;
    }
    rows.push({
      text,
      kernel: label,
      // What the dispatches of an optimiser write is known to it alone.
      result: isUpdate && first === undefined ? label : text,
      layer: first === undefined ? undefined : layerOf(first),
      phase: isUpdate ? "update" : resultIn(isForward, step) ? "forward" : "backward",
      dispatches: 1,
      bytes,
      flops: values.reduce((sum, value) => sum + flopsOf(value), 0),
      ms: time,
    });
  });
  return rows.map(({ text: _, ...row }) => row);
}

/** Whether the result of a step is among `values`: on the way back, a kernel may compute others of them again. */
function resultIn(values: ReadonlySet<Value>, step: LoweredStep): boolean {
  const result = step.values?.at(-1);
  return result !== undefined && values.has(result);
}

function bytesOf(binding: Binding): number {
  return binding === "scalars" ? 0 : binding.byteLength;
}
