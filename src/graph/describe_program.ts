import type { LoweredStep, ProgramLowering } from "./lower_program.ts";
import { regionsOf } from "./memory_plan.ts";
import type { ResultPlan } from "./plan_results.ts";
import type { Program } from "./program.ts";
import type { ProgramMemory } from "./program_memory.ts";

/** A program's plan as text, one line a thing. */
export function describeProgram(
  label: string,
  program: Program,
  lowering: ProgramLowering,
  results: ResultPlan,
  memory: ProgramMemory,
): string {
  const updates = program.updates ?? [];
  const inputs = [...lowering.inputs.values()].map(({ region }) => region);
  const given = [...inputs, ...lowering.parameters.keys(), ...lowering.constants.keys()];
  const lines = [
    `${label}: ${lowering.steps.length} dispatches and ${updates.length} updates, ` +
    `${lowering.fusedOps} ops fused into others, ${memory.byteLength} bytes`,
    ...memory.arenaBytes.map((bytes, index) => `arena ${index}: ${bytes} bytes`),
    ...given.map((region) => `${region.label} in ${memory.describe(region)}`),
    ...lowering.steps.map((step, index) => `${index}: ${describeStep(step, memory)}`),
    ...updates.map(({ label: kernel, workgroups }) =>
      `update: ${kernel} (${workgroups.join(" x ")} workgroups)`
    ),
    ...[...results.outputs].map(([name, { region }]) =>
      `output "${name}": ${region.label} in ${memory.describe(region)}`
    ),
  ];
  return lines.join("\n") + "\n";
}

function describeStep(step: LoweredStep, memory: ProgramMemory): string {
  const { dispatch, writes } = step;
  const reads = regionsOf(step).filter((region) => !writes.includes(region));
  const places = [
    ...(reads.length > 0 ? [`reads ${reads.map((region) => memory.describe(region)).join(", ")}`] : []),
    `writes ${writes.map((region) => memory.describe(region)).join(", ")}`,
  ];
  return `${step.text} | ${dispatch.label} (${dispatch.workgroups.join(" x ")} workgroups) | ` +
    `${places.join("; ")}`;
}
