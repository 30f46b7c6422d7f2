import { bindingParts } from "../gpu/binding_parts.ts";
import type { Dispatch } from "../gpu/dispatch.ts";

/** One of the dispatches that a kernel takes, with what it writes; it only reads the others. */
export interface KernelStep<B> {
  readonly dispatch: Dispatch<B>;
  readonly writes: readonly B[];
}

/** Memory that the steps of a kernel ask for. */
export interface KernelMemory<B> {
  /** The most bytes that a dispatch binds at once. */
  readonly bindingBytes: number;
  /** Memory for what stands between two dispatches. */
  scratch(label: string, byteLength: number): B;
  /** Memory with these words in it, which no step changes. */
  constant(label: string, words: Uint32Array): B;
  /** A slice of such memory; the offset is a multiple of 256. */
  slice(memory: B, offset: number, byteLength: number): B;
  /** How many bytes are bound of `memory`. */
  bytesOf(memory: B): number;
}

/** Elements of 4 bytes that a dispatch binds at once, of a tensor that may be larger. */
export interface BoundPart<B> {
  readonly binding: B;
  /** The first of them in the tensor, a multiple of 64. */
  readonly first: number;
  readonly count: number;
}

/** A tensor of `count` elements of 4 bytes in parts that can be bound: itself, where it can. */
export function boundParts<B>(memory: KernelMemory<B>, tensor: B, count: number): BoundPart<B>[] {
  const parts = bindingParts(4 * count, memory.bindingBytes);
  if (parts.length === 1) return [{ binding: tensor, first: 0, count }];
  return parts.map(({ offset, byteLength }) => {
    return { binding: memory.slice(tensor, offset, byteLength), first: offset / 4, count: byteLength / 4 };
  });
}

/** What every adapter can bind as a uniform buffer, in bytes. */
export const UNIFORM_BYTES = 65_536;

/** What every adapter takes as the offset of a binding, in words. */
const ALIGNED_WORDS = 64;

/** Puts records of at most 64 words into memory, and gives the binding of each. */
export function numberRecords<B>(
  memory: KernelMemory<B>,
  label: string,
  records: readonly (readonly number[])[],
): (index: number) => B {
  const words = new Uint32Array(records.length * ALIGNED_WORDS);
  records.forEach((record, index) => words.set(record, index * ALIGNED_WORDS));
  const all = memory.constant(label, words);
  return (index) => memory.slice(all, index * ALIGNED_WORDS * 4, ALIGNED_WORDS * 4);
}
