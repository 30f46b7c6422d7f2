import type { TensorSpec } from "../container/format/layout.ts";
import { checkedMultiply } from "../base/checked.ts";
import { byteSizeOf, DTYPES } from "../base/dtype.ts";
import type { HostTensor } from "../tensor/host_tensor.ts";
import { type TensorLike, tensorOf } from "../tensor/tensor_like.ts";
import { elementCount, validateShape } from "../tensor/shape.ts";
import { quoted } from "./tensor_file.ts";

/** A tensor to be written, whose bytes need not be in memory all at once. */
export interface OutgoingTensor extends TensorSpec {
  /**
   * Its bytes, little-endian and row-major, in pieces of any size. Asked for once for each name that they are written
   * under.
   */
  pieces(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** What the writers take: tensors by name, or descriptions of them whose bytes come when it is their turn. */
export type TensorsToWrite =
  | Readonly<Record<string, TensorLike>>
  | Iterable<readonly [name: string, tensor: TensorLike]>
  | Iterable<OutgoingTensor>;

/** An {@link OutgoingTensor} that was checked. */
export interface CheckedTensor extends OutgoingTensor {
  readonly byteLength: number;
}

/**
 * The tensors in the caller's order. Tensors that are the same memory are aliases of the one whose name sorts first.
 *
 * @throws TypeError or RangeError that names the tensor: a bad name, shape, dtype or alias, a name used twice, or
 * memory that two tensors share in part, which no format here can say.
 */
export function checkedTensors(tensors: TensorsToWrite): CheckedTensor[] {
  const checked: CheckedTensor[] = [];
  const inMemory: [name: string, tensor: HostTensor][] = [];
  for (const given of Symbol.iterator in tensors ? tensors : Object.entries(tensors)) {
    const item = isEntry(given) ? inMemoryOf(...given) : given;
    const entry = isEntry(item) ? outgoing(...item) : item;
    if (isEntry(item)) inMemory.push(item);
    checked.push({
      name: entry.name,
      dtype: entry.dtype,
      shape: entry.shape,
      aliasOf: entry.aliasOf,
      pieces: () => entry.pieces(),
      byteLength: byteLengthOf(entry),
    });
  }
  const aliases = sharedMemory(inMemory);
  return withRoots(checked.map((entry) => {
    const aliasOf = aliases.get(entry.name);
    return aliasOf === undefined ? entry : { ...entry, aliasOf };
  }));
}

/** Which of two texts sorts first by code point, as in UTF-8; JavaScript's own `<` compares UTF-16. */
export function compareText(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const left = a.codePointAt(i) as number;
    const right = b.codePointAt(i) as number;
    if (left !== right) return left - right;
  }
  return a.length - b.length;
}

function isEntry<T>(item: readonly [name: string, tensor: T] | OutgoingTensor): item is readonly [string, T] {
  return Array.isArray(item);
}

function inMemoryOf(name: string, given: TensorLike): [name: string, tensor: HostTensor] {
  return [name, tensorOf(given, `tensor ${quoted(String(name))}`)];
}

function outgoing(name: string, tensor: HostTensor): OutgoingTensor {
  return { name, dtype: tensor.dtype, shape: tensor.shape, pieces: () => [tensor.bytes] };
}

function byteLengthOf({ name, dtype, shape }: TensorSpec): number {
  if (typeof name !== "string" || !name.isWellFormed()) {
    throw new TypeError(`Tensor name ${quoted(String(name))} is no well-formed text`);
  }
  if (!Object.hasOwn(DTYPES, dtype)) {
    throw new TypeError(`Tensor ${quoted(name)} has the dtype ${dtype}, which does not exist`);
  }
  validateShape(shape, `The shape of tensor ${quoted(name)}`);
  return checkedMultiply(elementCount(shape), byteSizeOf(dtype));
}

/** Every name whose tensor is the memory of another one, with that one's name. */
function sharedMemory(tensors: readonly [string, HostTensor][]): Map<string, string> {
  const byStart = tensors.filter(([, { bytes }]) => bytes.byteLength > 0)
    .sort(([a, { bytes: left }], [b, { bytes: right }]) =>
      left.byteOffset - right.byteOffset || left.byteLength - right.byteLength || compareText(a, b)
    );
  const aliases = new Map<string, string>();
  const last = new Map<ArrayBufferLike, readonly [string, HostTensor]>();
  for (const [name, tensor] of byStart) {
    const before = last.get(tensor.bytes.buffer);
    if (before !== undefined && overlaps(before[1], tensor)) {
      if (!isSame(before[1], tensor)) {
        throw new TypeError(
          `Tensors ${quoted(before[0])} and ${
            quoted(name)
          } share memory without being the same; copy one of them first`,
        );
      }
      aliases.set(name, before[0]);
    } else {
      last.set(tensor.bytes.buffer, [name, tensor]);
    }
  }
  return aliases;
}

function overlaps({ bytes: first }: HostTensor, { bytes: second }: HostTensor): boolean {
  return second.byteOffset < first.byteOffset + first.byteLength;
}

function isSame(a: HostTensor, b: HostTensor): boolean {
  return a.dtype === b.dtype && a.bytes.byteOffset === b.bytes.byteOffset &&
    a.shape.join() === b.shape.join();
}

/** Lets every alias name the tensor that holds the bytes, wherever that stands. */
function withRoots(tensors: readonly CheckedTensor[]): CheckedTensor[] {
  const byName = new Map<string, CheckedTensor>();
  for (const tensor of tensors) {
    if (byName.has(tensor.name)) throw new TypeError(`There are two tensors named ${quoted(tensor.name)}`);
    byName.set(tensor.name, tensor);
  }
  return tensors.map((tensor) => {
    if (tensor.aliasOf === undefined) return tensor;
    let root: CheckedTensor | undefined = tensor;
    for (let hops = 0; root?.aliasOf !== undefined; hops++) {
      root = hops > tensors.length ? undefined : byName.get(root.aliasOf);
    }
    const fits = root !== undefined && root.dtype === tensor.dtype &&
      root.shape.join() === tensor.shape.join();
    if (!fits) {
      throw new TypeError(
        `Tensor ${quoted(tensor.name)} is an alias of ${
          quoted(tensor.aliasOf)
        }, which is no other tensor of its dtype and shape`,
      );
    }
    return { ...tensor, aliasOf: (root as CheckedTensor).name };
  });
}
