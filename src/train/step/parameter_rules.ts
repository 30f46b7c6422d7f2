import type { BufferRange } from "../../gpu/buffer_range.ts";
import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import { isFrozenParameter } from "../../nn/frozen_parameters.ts";
import type { Model } from "../../nn/model.ts";
import type { Parameter } from "../../nn/scope.ts";
import { type DataParallelOptions, groupOf as groupOfRanks } from "../../parallel/data_parallel_options.ts";
import { Owners } from "../../parallel/owners.ts";
import { AVERAGE_SLOT, groupOf, slotGroup } from "../../tensor/group_names.ts";
import { elementCount } from "../../tensor/shape.ts";
import type { TensorGroup } from "../../tensor/tensor_group.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import type { Optimizer, UpdatedParameter, UpdateRule } from "../../nn/optim/optimizer.ts";

/** By which rule of its optimiser each parameter of a model is updated. */
export class ParameterRules {
  /** Which rank keeps what the optimiser has of each parameter, and updates it; undefined where each rank has all. */
  readonly owners: Owners | undefined;
  readonly #rules: ReadonlyMap<string, UpdateRule | undefined>;
  /** In the order in which parameters first have them. */
  readonly #distinct: readonly UpdateRule[];

  /**
   * @param parallel The ranks that share them out, where they do.
   * @throws TypeError for an optimiser whose options do not fit the parameters, that freezes all of them, or that
   * cannot be shared out.
   */
  constructor(
    optimizer: Optimizer,
    parameters: readonly (UpdatedParameter & Partial<Parameter>)[],
    parallel?: DataParallelOptions,
  ) {
    // Those that their layer froze are of no concern to the optimiser.
    const trained = parameters.filter(({ value }) => value === undefined || !isFrozenParameter({ value }));
    const rules = optimizer.rulesFor(trained.map(({ name, shape }) => ({ name, shape })));
    this.#rules = new Map(trained.map(({ name }, index) => [name, rules[index]]));
    this.#distinct = [...new Set([...this.#rules.values()].flatMap((rule) => rule ?? []))];
    this.owners = this.#ownersAmong(parallel, trained);
    if (parameters.length === 0 || this.#distinct.length > 0) return;
    throw new TypeError(
      `Every parameter is frozen, by its layer or by the groups of ${optimizer.name}, so that nothing would be ` +
        "trained; leave some out",
    );
  }

  /** The rule of the parameter called `name`, `undefined` where it is frozen. */
  of(name: string): UpdateRule | undefined {
    return this.#rules.get(name);
  }

  /** Whether this process updates the parameter called `name`, and keeps what that takes. */
  keeps(name: string): boolean {
    return this.owners?.owns(name) ?? true;
  }

  #ownersAmong(
    parallel: DataParallelOptions | undefined,
    parameters: readonly UpdatedParameter[],
  ): Owners | undefined {
    const group = parallel?.optimizerSharding === true ? groupOfRanks(parallel) : undefined;
    if (group === undefined || this.slots.length === 0) return undefined;
    if (this.hasAverage) {
      throw new TypeError(
        "Averages of weights are evaluated on every rank, and optimizerSharding would keep each on one only: leave " +
          "optim.ema out, or optimizerSharding",
      );
    }
    const bytesOf = ({ name, shape }: UpdatedParameter): number =>
      (this.of(name)?.slots.length ?? 0) * alignUp(4 * elementCount(shape), TENSOR_ALIGNMENT);
    return new Owners(group, parameters.map((each) => [each.name, bytesOf(each)]));
  }

  /** Every rule once. */
  get distinct(): readonly UpdateRule[] {
    return this.#distinct;
  }

  /**
   * In the order in which they are to lie: those of a rule together, so that it is a dispatch for each slab of them,
   * and frozen ones last. Otherwise as they are given.
   */
  laidOut<T extends { readonly name: string }>(parameters: readonly T[]): T[] {
    const places = parameters.map((parameter) => {
      const rule = this.of(parameter.name);
      return { parameter, place: rule === undefined ? this.#distinct.length : this.#distinct.indexOf(rule) };
    });
    return places.sort((a, b) => a.place - b.place).map(({ parameter }) => parameter);
  }

  /** Every slot of a rule once. */
  get slots(): readonly string[] {
    return [...new Set(this.#distinct.flatMap(({ slots }) => slots))];
  }

  /** Defines the groups of the slots in the model's store, of the parameters that have them and are kept here. */
  defineSlots({ store, group, name: owner }: Model): void {
    for (const slot of this.slots) {
      store.define(groupOf(owner, slotGroup(slot)), this.slotSpecs(group, slot, this.owners?.group.rank));
    }
  }

  /** What a slot has of the parameters in `group`: on the rank `rank`, or on all of them together. */
  slotSpecs(group: TensorGroup, slot: string, rank?: number): TensorSpec[] {
    return group.specs().filter(({ name }) =>
      this.of(name)?.slots.includes(slot) && (rank === undefined || this.owners?.of(name) === rank)
    );
  }

  /** What the rank `rank` keeps of all slots, with the names that it has in the store. */
  momentsOf(group: TensorGroup, rank: number): TensorSpec[] {
    return this.slots.flatMap((slot) =>
      this.slotSpecs(group, slot, rank).map((spec) => ({ ...spec, name: `${slotGroup(slot)}.${spec.name}` }))
    );
  }

  /** What other ranks keep of all slots. */
  momentsOfOthers(group: TensorGroup): TensorSpec[] {
    const { size = 0, rank: own } = this.owners?.group ?? {};
    return Array.from({ length: size }, (_, rank) => rank === own ? [] : this.momentsOf(group, rank)).flat();
  }

  /**
   * The groups of the slots, on the device that the store is on now.
   *
   * @param owner The name of the model, among several in the store.
   */
  slotGroups(store: TensorStore, owner?: string): ReadonlyMap<string, TensorGroup> {
    return new Map(this.slots.map((slot) => [slot, store.group(groupOf(owner, slotGroup(slot)))]));
  }

  /** Whether averages of weights are kept, which are evaluated in place of the weights. */
  get hasAverage(): boolean {
    return this.slots.includes(AVERAGE_SLOT);
  }

  /** Where the parameter called `name` is to be evaluated: its average, if there is one. */
  averageOf(model: Model, name: string): BufferRange {
    if (this.of(name)?.slots.includes(AVERAGE_SLOT) !== true) return model.rangeOf(name);
    return model.store.tensor(`${groupOf(model.name, slotGroup(AVERAGE_SLOT))}.${name}`).range;
  }

  /** Makes the averages of the weights what the weights are. */
  beginAverage({ store, group, name: owner }: Model): void {
    const averages = groupOf(owner, slotGroup(AVERAGE_SLOT));
    const encoder = store.gpu.device.createCommandEncoder({ label: "averages begin" });
    for (const { name, range } of store.group(averages).tensors) {
      const from = store.tensor(`${group.name}${name.slice(averages.length)}`).range;
      if (range.size === 0) continue;
      encoder.copyBufferToBuffer(from.buffer, from.offset, range.buffer, range.offset, range.size);
    }
    store.gpu.submit(encoder);
  }
}
