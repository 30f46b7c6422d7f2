import type { BufferRange } from "../gpu/buffer_range.ts";
import type { HostTensor } from "../tensor/host_tensor.ts";
import { type ChooseVariant, type LoweredStep, ProgramLowering } from "./lower_program.ts";
import type { Binding, Region } from "./op.ts";
import { type OutputRegion, planResults } from "./plan_results.ts";
import type { Program, Update, UpdateBinding, UpdateValues } from "./program.ts";

/** The updates of a program as steps, in their order. */
export interface LoweredUpdates {
  readonly steps: readonly LoweredStep[];
  /** For each update the number of steps up to its end. */
  readonly ends: readonly number[];
  /** Regions that they fill, to be placed beside the program's. */
  readonly computed: readonly Region[];
  readonly constants: ReadonlyMap<Region, HostTensor>;
  /** Where regions are that are in memory of the caller. */
  readonly fixed: ReadonlyMap<Region, BufferRange>;
}

/**
 * Lowers the updates of a program behind its other steps, so that one plan gives memory to all of them.
 *
 * @param outputs Of the program, which updates may bind.
 * @throws TypeError for an update that binds an unknown output, or gives one a name that is taken.
 */
export function lowerUpdates(
  updates: readonly Update[],
  outputs: ReadonlyMap<string, OutputRegion>,
  variant: ChooseVariant,
  bindingBytes: number = Infinity,
): LoweredUpdates {
  const steps: LoweredStep[] = [];
  const ends: number[] = [];
  const computed: Region[] = [];
  const constants = new Map<Region, HostTensor>();
  const fixed = new Map<Region, BufferRange>();
  const known = new Map(outputs);
  for (const update of updates) {
    if ("values" in update) {
      const lowered = lowerValues(update, variant, bindingBytes);
      steps.push(...lowered.lowering.steps);
      computed.push(...lowered.lowering.computed);
      for (const [region, tensor] of lowered.lowering.constants) constants.set(region, tensor);
      for (const [region, range] of lowered.results.fixed) fixed.set(region, range);
      for (const [name, output] of lowered.results.outputs) {
        if (known.has(name)) throw new TypeError(`Two outputs of a program are called "${name}"; rename one`);
        known.set(name, output);
      }
    } else if (update.workgroups.every((count) => count > 0)) {
      const bindings = update.bindings.map((binding) => regionFor(binding, known, fixed));
      steps.push({ dispatch: { ...update, bindings }, writes: [], text: "update" });
    }
    ends.push(steps.length);
  }
  return { steps, ends, computed, constants, fixed };
}

function lowerValues({ values, parameters }: UpdateValues, variant: ChooseVariant, bindingBytes: number) {
  const program: Program = { inputs: [], outputs: values, parameters };
  const lowering = new ProgramLowering(Object.values(values), [], parameters, variant, bindingBytes);
  return { lowering, results: planResults(program, lowering) };
}

function regionFor(
  binding: UpdateBinding,
  outputs: ReadonlyMap<string, OutputRegion>,
  fixed: Map<Region, BufferRange>,
): Binding {
  if (binding === "scalars") return binding;
  if ("output" in binding) {
    const found = outputs.get(binding.output);
    if (found !== undefined) return found.region;
    const names = [...outputs.keys()].map((name) => `"${name}"`).join(", ");
    throw new TypeError(
      `An update binds the output "${binding.output}", which is not there; there is ${names}`,
    );
  }
  const region = { id: fixed.size, label: binding.buffer.label, byteLength: binding.size };
  fixed.set(region, binding);
  return region;
}
