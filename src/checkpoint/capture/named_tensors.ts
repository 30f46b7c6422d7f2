import { type TensorLike, tensorOf } from "../../tensor/tensor_like.ts";
import { isHostTensorName } from "./host_state.ts";
import type { HostBytes } from "./state_types.ts";

/**
 * Copies of tensors in memory, to be saved by their names as those of a store are.
 *
 * @param taken Names that other tensors of the checkpoint have.
 * @throws TypeError for a name that is taken or that tensors of the state have, and for what is no tensor.
 */
export function freezeTensors(
  tensors: Readonly<Record<string, TensorLike>>,
  taken: ReadonlySet<string>,
): HostBytes[] {
  return Object.entries(tensors).map(([name, value]) => {
    if (taken.has(name)) throw new TypeError(`There are two tensors named "${name}": one is in the store`);
    if (isHostTensorName(name)) {
      throw new TypeError(
        `A tensor cannot be named "${name}": names of that kind are those of the state's own`,
      );
    }
    const { dtype, shape, bytes } = tensorOf(value, `tensor "${name}"`);
    return { spec: { name, dtype, shape }, bytes: bytes.slice() };
  });
}
