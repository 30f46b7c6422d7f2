/** What the tree needs to know of a tensor. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly aliasOf?: string | undefined;
}

/** A module: what the names of its tensors and modules have in common, up to a dot. */
export interface TreeModule<T extends NamedTensor> {
  /** The part of its name that its parent does not have. */
  readonly label: string;
  /** The whole of it, without a dot at the end; `""` of the root. */
  readonly path: string;
  readonly modules: readonly TreeModule<T>[];
  readonly tensors: readonly T[];
  /** Of all tensors in it, at any depth. */
  readonly tensorCount: number;
  readonly elementCount: number;
  readonly byteLength: number;
}

interface Growing<T> {
  readonly modules: Map<string, Growing<T>>;
  readonly tensors: T[];
}

/** Tensors as a tree of modules, in the order in which they stand. A module that has only one is joined with it. */
export function tensorTree<T extends NamedTensor>(tensors: readonly T[]): TreeModule<T> {
  const root: Growing<T> = { modules: new Map(), tensors: [] };
  for (const tensor of tensors) {
    const segments = tensor.name.split(".").slice(0, -1);
    let module = root;
    for (const segment of segments) {
      const found = module.modules.get(segment) ?? { modules: new Map<string, Growing<T>>(), tensors: [] };
      module.modules.set(segment, found);
      module = found;
    }
    module.tensors.push(tensor);
  }
  return finished(root, "", "");
}

/** The part of a name that its module does not have. */
export function leafOf(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

/** The tensors whose name has every word of `query` in it, whatever the case. */
export function searchTensors<T extends NamedTensor>(tensors: readonly T[], query: string): readonly T[] {
  const words = query.toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return tensors;
  return tensors.filter(({ name }) => {
    const text = name.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** How many elements a shape has. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function finished<T extends NamedTensor>(
  { modules, tensors }: Growing<T>,
  label: string,
  path: string,
): TreeModule<T> {
  const [only] = modules;
  if (only !== undefined && modules.size === 1 && tensors.length === 0) {
    const [segment, module] = only;
    return finished(module, joined(label, segment), joined(path, segment));
  }
  const children = [...modules].map(([segment, module]) => finished(module, segment, joined(path, segment)));
  const own = tensors.filter(({ aliasOf }) => aliasOf === undefined);
  const total = (of: (module: TreeModule<T>) => number, mine: number): number =>
    children.reduce((sum, child) => sum + of(child), mine);
  return {
    label,
    path,
    modules: children,
    tensors,
    tensorCount: total((module) => module.tensorCount, tensors.length),
    elementCount: total((module) => module.elementCount, sum(own, ({ shape }) => elementsOf(shape))),
    byteLength: total((module) => module.byteLength, sum(own, ({ byteLength }) => byteLength)),
  };
}

function joined(path: string, segment: string): string {
  return path === "" ? segment : `${path}.${segment}`;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
