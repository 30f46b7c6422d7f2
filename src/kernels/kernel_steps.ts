import type { Dispatch } from "../gpu/dispatch.ts";

/** One of the dispatches that a kernel takes, with what it writes; it only reads the others. */
export interface KernelStep<B> {
  readonly dispatch: Dispatch<B>;
  readonly writes: readonly B[];
}

/** Memory that the steps of a kernel ask for. */
export interface KernelMemory<B> {
  /** Memory for what stands between two dispatches. */
  scratch(label: string, byteLength: number): B;
  /** Memory with these words in it, which no step changes. */
  constant(label: string, words: Uint32Array): B;
  /** A slice of such memory; the offset is a multiple of 256. */
  slice(memory: B, offset: number, byteLength: number): B;
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
