import type { BufferRange } from "../../gpu/buffer_range.ts";
import { copyRanges, type RangeCopy } from "../../gpu/copy_ranges.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { Model } from "../../nn/model.ts";
import { Gather } from "../../parallel/gather.ts";
import type { Owners } from "../../parallel/owners.ts";
import type { StoredTensor, TensorGroup } from "../../tensor/tensor_group.ts";
import { rangesOf } from "./shard_memory.ts";
import { nameOf } from "./update_ranges.ts";

/**
 * The parameters of a step of which each rank updates some, in memory beside the model until all of them are here:
 * those of the model change at once, so that whatever is computed meanwhile has either the old ones or the new ones.
 */
export class GatheredParameters {
  readonly #gpu: GpuDevice;
  readonly #memory: TensorGroup;
  readonly #gather: Gather;
  /** Of those that this rank updates, from the model. */
  readonly #begun: readonly RangeCopy[];
  /** Of all, to the model. */
  readonly #gathered: readonly RangeCopy[];

  /** @param memory With a tensor for each parameter that is updated; of no other use until the gathering is done. */
  constructor(model: Model, memory: TensorGroup, owners: Owners) {
    this.#gpu = model.store.gpu;
    this.#memory = memory;
    const inModel = (tensor: StoredTensor): BufferRange => model.tensorOf(nameOf(tensor)).range;
    this.#begun = memory.tensors.filter((tensor) => owners.owns(nameOf(tensor)))
      .map((tensor) => [inModel(tensor), tensor.range]);
    this.#gathered = memory.tensors.map((tensor) => [tensor.range, inModel(tensor)]);
    const ofRanks = Array.from(
      { length: owners.group.size },
      (_, rank) => rangesOf(memory.tensors.filter((tensor) => owners.of(nameOf(tensor)) === rank)),
    );
    this.#gather = new Gather(this.#gpu, owners.group, ofRanks);
  }

  /** Where the parameter called `name` is updated. */
  of(name: string): StoredTensor {
    const tensor = this.#memory.tensors.find((each) => nameOf(each) === name);
    if (tensor === undefined) throw new RangeError(`There is no place to update the parameter "${name}"`);
    return tensor;
  }

  /** Submits the copy of those that this rank updates, before it does. */
  begin(): void {
    copyRanges(this.#gpu, "parameters of this rank", this.#begun);
  }

  /** After the update: waits until all are here. @returns what submits their copy to the model. */
  async gather(): Promise<() => void> {
    await this.#gather.run();
    return () => copyRanges(this.#gpu, "parameters of all ranks", this.#gathered);
  }
}
