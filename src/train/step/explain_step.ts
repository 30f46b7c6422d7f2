import type { OptionNames } from "../../base/options/options.ts";
import { type Printable, printable, shortNumber, textTable } from "../../base/printable.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import type { KernelExplanation, ProgramExplanation } from "../../graph/explain_program.ts";

/** Options of `Trainer.explain`. */
export interface ExplainOptions {
  /**
   * Whether the time of each kernel is measured, by doing the next step twice, with a copy of the store that is put
   * back; only where the adapter tells times. Default true.
   */
  readonly times?: boolean | undefined;
}

/** Every option of {@link ExplainOptions}. */
export const EXPLAIN_OPTIONS: OptionNames<ExplainOptions> = { times: true };

/** GPU memory that a step needs, in bytes. */
export interface StepMemoryExplanation {
  /** Tensors of the store: parameters, what the optimiser keeps of each, and the last losses. */
  readonly store: number;
  /** Gradients of all parameters, and what their check leaves. */
  readonly gradients: number;
  /**
   * What is kept from the way to the loss for the way back, of the program that needs most: a part of the workspace,
   * and half as much in 16 bits.
   */
  readonly activations: number;
  /** What the programs compute with, all of them together: each keeps its memory between its runs. */
  readonly workspace: number;
  /** What no memory plan for the same kernels in the same order takes less than, instead of `workspace`. */
  readonly leastWorkspace: number;
}

/** A training step, taken apart. */
export interface StepExplanation {
  /** What it runs on. */
  readonly adapter: string;
  /** One for each number of examples that a batch has, the usual one first; in pieces, one for each size of a piece. */
  readonly programs: readonly ProgramExplanation[];
  /** How much GPU memory it takes. */
  readonly memory: StepMemoryExplanation;
  /** Which variant of each kernel was chosen, by the name of the kernel. */
  readonly variants: Readonly<Record<string, string>>;
}

/**
 * A step of a run in `store` as data that prints as tables.
 *
 * @param programs Those of the step, taken apart.
 * @param gradients Bytes of its gradients, and of what their check leaves.
 */
export function explainStep(
  store: TensorStore,
  programs: readonly ProgramExplanation[],
  gradients: number,
): Printable<StepExplanation> {
  const sumOf = (of: (program: ProgramExplanation) => number): number =>
    programs.reduce((sum, program) => sum + of(program), 0);
  const explanation = {
    adapter: store.gpu.adapterName,
    programs,
    memory: {
      store: store.stats().bytes,
      gradients,
      activations: Math.max(0, ...programs.map(({ activationBytes }) => activationBytes)),
      workspace: sumOf(({ workspaceBytes }) => workspaceBytes),
      leastWorkspace: sumOf(({ leastBytes }) => leastBytes),
    },
    variants: Object.fromEntries(store.variants),
  };
  return printable(explanation, formatExplanation);
}

function formatExplanation({ adapter, programs, memory, variants }: StepExplanation): string {
  const sum = memory.store + memory.gradients + memory.workspace;
  const chosen = Object.entries(variants).map(([kernel, variant]) => `${kernel} ${variant}`);
  return [
    ...programs.map(formatProgram),
    `on ${adapter}`,
    `memory: ${bytesOf(sum)}: store ${bytesOf(memory.store)}, gradients ${bytesOf(memory.gradients)}, ` +
    `workspace ${bytesOf(memory.workspace)} (at least ${bytesOf(memory.leastWorkspace)}, ` +
    `activations ${bytesOf(memory.activations)})`,
    `variants: ${chosen.length === 0 ? "none to choose" : chosen.join(", ")}`,
  ].join("\n");
}

function formatProgram({ label, kernels, dispatches, pipelines, fusedOps }: ProgramExplanation): string {
  const total = kernels.reduce((sum, { ms }) => sum + (ms ?? 0), 0);
  const isTimed = kernels.some(({ ms }) => ms !== undefined);
  const rows = kernels.map((kernel) => [
    kernel.layer ?? "",
    kernel.phase,
    kernel.kernel,
    kernel.dispatches,
    shortNumber(kernel.bytes),
    shortNumber(kernel.flops),
    ...isTimed ? [timeOf(kernel, total)] : [],
  ]);
  const head = ["layer", "phase", "kernel", "dispatches", "bytes", "FLOPs", ...isTimed ? ["ms"] : []];
  const time = isTimed ? `, ${total.toFixed(2)} ms on the GPU` : "";
  return `${label}: ${dispatches} dispatches, ${pipelines} pipelines, ${fusedOps} ops fused into others${time}\n` +
    `${textTable([head, ...rows])}\n`;
}

function timeOf({ ms }: KernelExplanation, total: number): string {
  if (ms === undefined) return "";
  const share = total > 0 ? ` (${Math.round(100 * ms / total)} %)` : "";
  return `${ms.toFixed(3)}${share}`;
}

function bytesOf(bytes: number): string {
  return `${shortNumber(bytes)}B`;
}
