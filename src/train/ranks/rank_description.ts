import { toCanonicalJson } from "../../base/canonical_json.ts";
import { definedFields } from "../../base/defined_fields.ts";
import type { RankDescription } from "../../parallel/alike.ts";
import { encodeState } from "../../container/format/encode_state.ts";
import type { StateValue } from "../../container/format/state_tree.ts";
import type { Run } from "../loop/run.ts";

/** What of a run has to be the same on all ranks before the first step. */
export async function describeRank(run: Run): Promise<RankDescription> {
  await run.record.complete();
  const { model, slots, store, steps: { rules }, record: { identity } } = run;
  const { parts, ...rest } = identity;
  // Of the slots each rank may keep those of other parameters.
  const tensors = store.groups().filter(({ name }) => !slots.includes(name)).flatMap((group) =>
    group.tensors.map(({ name, dtype, shape }) => `${name} ${dtype} [${shape}]`)
  );
  const settings = Object.entries(definedFields<Record<string, unknown>>({ ...rest, ...parts }));
  return {
    model: model.parameters.map(({ name, shape }) => `${name} [${shape}]`).join(", "),
    tensors: tensors.join(", "),
    adapter: store.gpu.adapterName,
    provider: store.gpu.provider,
    slots: rules.slots.join(", "),
    optimizerSharding: String(rules.owners !== undefined),
    ...Object.fromEntries(settings.map(([what, value]) => [what, textOf(value)])),
  };
}

/** The kernels that were chosen, once the step is compiled. */
export function describeVariants({ store }: Run): RankDescription {
  const variants = [...store.variants].sort(([a], [b]) => a < b ? -1 : 1);
  return Object.fromEntries(variants.map(([kernel, variant]) => [`kernel variant of ${kernel}`, variant]));
}

function textOf(value: unknown): string {
  return typeof value === "object" ? toCanonicalJson(encodeState(value as StateValue)) : String(value);
}
