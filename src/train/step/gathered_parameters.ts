import type { BufferRange } from "../../gpu/buffer_range.ts";
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
  readonly #model: Model;
  readonly #memory: TensorGroup;
  readonly #owners: Owners;
  readonly #gather: Gather;

  /** @param memory With a tensor for each parameter that is updated; of no other use until the gathering is done. */
  constructor(model: Model, memory: TensorGroup, owners: Owners) {
    this.#model = model;
    this.#memory = memory;
    this.#owners = owners;
    const ofRanks = Array.from(
      { length: owners.group.size },
      (_, rank) => rangesOf(memory.tensors.filter((tensor) => owners.of(nameOf(tensor)) === rank)),
    );
    this.#gather = new Gather(model.store.gpu, owners.group, ofRanks);
  }

  /** Where the parameter called `name` is updated. */
  of(name: string): StoredTensor {
    const tensor = this.#memory.tensors.find((each) => nameOf(each) === name);
    if (tensor === undefined) throw new RangeError(`There is no place to update the parameter "${name}"`);
    return tensor;
  }

  /** Submits the copy of those that this rank updates, before it does. */
  begin(): void {
    const own = this.#memory.tensors.filter((tensor) => this.#owners.owns(nameOf(tensor)));
    this.#copy(own.map((tensor) => [this.#model.tensorOf(nameOf(tensor)).range, tensor.range]));
  }

  /** After the update: waits until all are here. @returns what submits their copy to the model. */
  async gather(): Promise<() => void> {
    await this.#gather.run();
    return () =>
      this.#copy(
        this.#memory.tensors.map((tensor) => [tensor.range, this.#model.tensorOf(nameOf(tensor)).range]),
      );
  }

  #copy(pairs: readonly (readonly [from: BufferRange, to: BufferRange])[]): void {
    const { gpu } = this.#model.store;
    const encoder = gpu.device.createCommandEncoder({ label: "parameters of all ranks" });
    for (const [from, to] of pairs) {
      if (to.size > 0) encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, to.size);
    }
    gpu.submit(encoder);
  }
}
