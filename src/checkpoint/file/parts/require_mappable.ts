import { CairnError } from "../../../base/errors.ts";
import type { TensorStore } from "../../../tensor/tensor_store.ts";
import { NameSelection, renameBy } from "../../../base/name_pattern.ts";
import type { RestorePlan } from "../../restore/restore.ts";
import { type JoinedView, listRanks } from "./rank_view.ts";

/**
 * Refuses a load after which something that ranks had of their own would be missing: a tensor that the store wants
 * and only other ranks had, or one that no rank of now takes over.
 *
 * @throws CairnError `state_mismatch` that says what to do.
 */
export function requireMappable(
  store: TensorStore,
  { report, elsewhere, reader }: JoinedView,
  options: Pick<RestorePlan, "groups" | "only" | "exclude" | "rename">,
  from: string,
): void {
  const { savedWorldSize, worldSize, rank, leftBehind } = report;
  if (savedWorldSize === undefined) return;
  const { groups, rename = [] } = options;
  const selection = new NameSelection(options.only, options.exclude);
  const isAskedFor = (tensor: string): boolean => {
    const name = renameBy(rename, tensor);
    return selection.has(name) && (groups?.some((group) => name.startsWith(`${group}.`)) ?? true);
  };
  const wanted = new Set(
    store.tensors().map(({ name }) => name).filter((name) => !reader.has(name)),
  );
  for (const [tensor, ranks] of elsewhere) {
    if (!isAskedFor(tensor) || !wanted.has(renameBy(rename, tensor))) continue;
    throw cannot(
      `"${tensor}" was the own tensor of ${listRanks(ranks)} of ${savedWorldSize}, and this is rank ${rank}`,
      "save it as replicated or sharded, load with that many ranks, or leave it out with exclude",
      tensor,
      from,
    );
  }
  for (const { rank: other, tensors } of leftBehind) {
    const tensor = tensors.find(isAskedFor);
    if (tensor === undefined) continue;
    throw cannot(
      `"${tensor}" of rank ${other} would be lost: ${savedWorldSize} ranks saved it and ${worldSize} load it`,
      `save it as replicated or sharded, load with ${savedWorldSize} ranks, or accept the loss with strict: false`,
      tensor,
      from,
    );
  }
}

function cannot(problem: string, advice: string, tensor: string, from: string): CairnError {
  return new CairnError("state_mismatch", `Cannot load ${from}: ${problem}; ${advice}. Nothing was changed`, {
    details: { tensor },
  });
}
