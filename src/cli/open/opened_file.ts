import type { DType } from "../../base/dtype.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";

/** Kinds of files that the command reads. */
export type FileFormat = "cairn" | "safetensors" | "npz" | "npy" | "torch";

/** What a file says of a tensor, without reading it. */
export interface ListedTensor {
  readonly name: string;
  /** Absent where Cairn has none such; it can be listed and not read. */
  readonly dtype: DType | undefined;
  /** The dtype in the file's own words. */
  readonly storedAs: string;
  readonly shape: readonly number[];
  /** Of its elements. */
  readonly byteLength: number;
  /** How many bytes of the file hold it, where that is known; of a chunk that it shares, its share. */
  readonly storedBytes?: number | undefined;
  /** Codecs of the chunks that it is in. */
  readonly codecs?: readonly string[] | undefined;
  /** The tensor whose elements these are as well. */
  readonly aliasOf?: string | undefined;
  /** What is wrong with what the file says of it, in a sentence; it cannot be read then. */
  readonly problem?: string | undefined;
}

/** A file of tensors, open, whatever its kind. */
export interface OpenedFile {
  readonly format: FileFormat;
  /** What it is called in what is printed. */
  readonly label: string;
  /** Of all files that it is made of. */
  readonly fileBytes: number;
  readonly fileCount: number;
  /** Of a `.cairn` file: its reader, which has its manifest. */
  readonly container?: ContainerReader | undefined;
  /** What stands beside the tensors of another format: a PyTorch state, a safetensors file's metadata. */
  readonly beside?: unknown;
  /** In the order of the file. Reads no elements. */
  list(): Promise<readonly ListedTensor[]>;
  /**
   * The elements of one tensor in pieces of whole elements, row-major and little-endian. A piece may be overwritten
   * by the next one.
   */
  pieces(name: string): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** All elements of a tensor. */
export async function readWhole(file: OpenedFile, tensor: ListedTensor): Promise<Uint8Array> {
  const bytes = new Uint8Array(tensor.byteLength);
  let at = 0;
  for await (const piece of file.pieces(tensor.name)) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}
