import type { Work } from "../../base/work.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import { CairnError } from "../../base/errors.ts";

/**
 * Reads every byte of a container.
 *
 * @param from What it is, for messages: `checkpoint "step-100"`.
 * @throws CairnError `checksum_mismatch` that names the damaged tensors.
 */
export async function requireUndamaged(
  reader: ContainerReader,
  from: string,
  options: Work = {},
): Promise<void> {
  const { ok, damaged } = await reader.verify(options);
  const [first] = damaged;
  if (ok || first === undefined) return;
  const names = [...new Set(damaged.flatMap(({ tensors }) => tensors))];
  const rest = damaged.length > 1
    ? `; ${damaged.length} chunks are damaged, of ${
      names.slice(0, 5).map((name) => `"${name}"`).join(", ")
    }` +
      (names.length > 5 ? ` and ${names.length - 5} more` : "")
    : "";
  const [tensor] = names;
  throw new CairnError("checksum_mismatch", `Cannot load ${from}: ${first.message}${rest}`, {
    details: tensor === undefined ? { value: damaged } : { tensor, value: damaged },
  });
}
