import { checkOptions } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import { shapesEqual } from "../../tensor/shape.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import { ENGINE_LOAD_OPTIONS, type EngineLoadOptions } from "./engine.ts";
import { formatForm } from "../../tensor/tensor_form.ts";

/**
 * Reads one tensor of a checkpoint into one that the caller has, in place, and nothing else of the file. The name has
 * to be exact. Until all of its bytes are read and checked, `into` stays as it was.
 *
 * @throws CairnError `not_found` for a name that is not there; `state_mismatch` when dtype or shape differ;
 * `checksum_mismatch` when that tensor is damaged.
 */
export async function loadTensor(
  checkpoint: Checkpoint,
  name: string,
  into: HostTensor,
  options: EngineLoadOptions = {},
): Promise<void> {
  checkOptions("loadTensor()", options, ENGINE_LOAD_OPTIONS);
  const { reader, tag, path } = checkpoint;
  const found = reader.tensor(name);
  if (found.dtype !== into.dtype || !shapesEqual(found.shape, into.shape)) {
    const message = `Cannot load "${name}" of checkpoint "${tag}" (${path}): it is ${formatForm(found)}, ` +
      `and what it is to be read into is ${formatForm({ name, dtype: into.dtype, shape: into.shape })}`;
    throw new CairnError("state_mismatch", message, { details: { tensor: name, tag, path } });
  }
  into.bytes.set(await reader.read(name, options));
}
