import type { LoweredStep, ProgramLowering } from "./lower_program.ts";
import type { LoweredUpdates } from "./lower_updates.ts";
import { regionsOf } from "./memory_plan.ts";
import type { ResultPlan } from "./plan_results.ts";
import type { ProgramMemory } from "./program_memory.ts";

/** A program's plan as text, one line a thing. */
export function describeProgram(
  label: string,
  lowering: ProgramLowering,
  updates: LoweredUpdates,
  results: ResultPlan,
  memory: ProgramMemory,
): string {
  const inputs = [...lowering.inputs.values()].map(({ region }) => region);
  const given = [...inputs, ...lowering.parameters.keys(), ...lowering.constants.keys()];
  const lines = [
    `${label}: ${lowering.steps.length} dispatches and ${updates.steps.length} updates, ` +
    `${lowering.fusedOps} ops fused into others, ${memory.byteLength} bytes`,
    ...memory.arenaBytes.map((bytes, index) => `arena ${index}: ${bytes} bytes`),
    ...given.map((region) => `${region.label} in ${memory.describe(region)}`),
    ...lowering.steps.map((step, index) => `${index}: ${describeStep(step, memory)}`),
    ...updates.steps.map((step) => `update: ${describeUpdate(step, memory)}`),
    ...[...results.outputs].map(([name, { region }]) =>
      `output "${name}": ${region.label} in ${memory.describe(region)}`
    ),
  ];
  return lines.join("\n") + "\n";
}

/** What the dispatches of the caller write is not known here. */
function describeUpdate(step: LoweredStep, memory: ProgramMemory): string {
  const { label, workgroups } = step.dispatch;
  return step.writes.length > 0
    ? describeStep(step, memory)
    : `${label} (${workgroups.join(" x ")} workgroups)`;
}

function describeStep(step: LoweredStep, memory: ProgramMemory): string {
  const { dispatch, writes } = step;
  const reads = regionsOf(step).filter((region) => !writes.includes(region));
  const accesses = [
    ...(reads.length > 0 ? [`reads ${reads.map((region) => memory.describe(region)).join(", ")}`] : []),
    `writes ${writes.map((region) => memory.describe(region)).join(", ")}`,
  ];
  return `${step.text} | ${dispatch.label} (${dispatch.workgroups.join(" x ")} workgroups) | ` +
    `${accesses.join("; ")}`;
}
