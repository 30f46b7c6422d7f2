import { MODEL_GROUP } from "../../tensor/group_names.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import { isHostTensorName } from "../capture/host_state.ts";

import type { RenameRule } from "../../base/name_pattern.ts";

/** What wrappers of models put in front of a parameter's name. */
const WRAPPER = "module.";
const GROUP = `${MODEL_GROUP}.`;

/**
 * Renames a file's model such that it fits the store's, where one of them has `module.` in front of each parameter
 * and the other has not. Takes checkpoints of runs, and files that hold nothing but a model, whose names then need no
 * group.
 */
export function adaptModulePrefix(reader: ContainerReader, store: TensorStore): RenameRule[] {
  const wanted = new Map(store.group(MODEL_GROUP).tensors.map(({ name }) => [bareName(name), name]));
  const names = reader.tensors.map(({ name }) => name).filter((name) => !isHostTensorName(name));
  const isBareFile = !names.some((name) => withoutWrapper(name).startsWith(GROUP));
  const found = new Set(names);
  const renamed = new Map<string, string>();
  for (const name of names) {
    if (!isBareFile && !withoutWrapper(name).startsWith(GROUP)) continue;
    const to = wanted.get(bareName(name)) ?? GROUP + bareName(name);
    // One that has the very name goes before one that only could have it.
    if (to === name || !found.has(to)) renamed.set(name, to);
  }
  return [{ from: /^[^]*$/, to: (name) => renamed.get(name) ?? name }];
}

/** A parameter's name without the group and without wrappers. */
function bareName(name: string): string {
  const inner = withoutWrapper(name);
  return withoutWrapper(inner.startsWith(GROUP) ? inner.slice(GROUP.length) : inner);
}

function withoutWrapper(name: string): string {
  return name.startsWith(WRAPPER) ? name.slice(WRAPPER.length) : name;
}
