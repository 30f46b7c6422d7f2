import { CairnError } from "../base/errors.ts";
import type { LoweringContext, VariantChoices } from "./op.ts";

/** Chooses kernel variants as `pinned` says, or by the kind of adapter; then `pinned` has the choice too. */
export function variantChooser(
  pinned: Map<string, string>,
  isCpuAdapter: boolean,
): LoweringContext["variant"] {
  return <Choice extends string>(kernel: string, choices: VariantChoices<Choice>): Choice => {
    const wanted = pinned.get(kernel) ?? (isCpuAdapter ? choices.cpu : choices.gpu);
    const found = choices.all.find((choice) => choice === wanted);
    if (found === undefined) {
      throw new CairnError(
        "unsupported",
        `There is no variant "${wanted}" of kernel "${kernel}"; this version has ${choices.all.join(", ")}`,
        { details: { op: kernel, value: wanted } },
      );
    }
    pinned.set(kernel, found);
    return found;
  };
}
