/**
 * The `.cairn` file by itself: write one, open one, read what is in it, and verify every byte. It needs no GPU and no
 * disk.
 *
 * @example
 * ```ts
 * import { BytesSink, bytesSource, ContainerReader, ContainerWriter } from "@cairn-ml/cairn/container";
 *
 * const sink = new BytesSink();
 * const writer = await ContainerWriter.create(sink, {
 *   tensors: [{ name: "weight", dtype: "f32", shape: [2, 2] }],
 *   fileId: crypto.getRandomValues(new Uint8Array(16)),
 * });
 * const raw = new Uint8Array(writer.layout.rawByteLength); // each tensor begins at a multiple of 256 bytes
 * raw.set(new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
 * await writer.write(raw);
 * await writer.finish({ kind: "tensors", state: {}, metrics: { loss: 0.5 }, provenance: {}, user: {} });
 *
 * const reader = await ContainerReader.open(bytesSource(sink.toBytes()));
 * console.log((await reader.verify()).ok, reader.manifest.metrics, await reader.read("weight"));
 * await reader.close();
 * ```
 *
 * @module
 */
export type { CodecChoice, CompressionMode, EncodedChunk } from "../container/codec/choose.ts";
export type { Codec, Decoder } from "../container/codec/codec.ts";
export { CodecPool } from "../container/codec/codec_pool.ts";
export type { Lent, LentBytes, LentChunk } from "../container/codec/lent.ts";
export type { GpuCodingRates, WriteRates } from "../container/codec/coding_rates.ts";
export type { ChunkSums } from "../container/codec/decode_checked.ts";
export type { CodecName } from "../container/codec/table.ts";
export type { ChunkCut } from "../container/format/chunk_plan.ts";
export type { ChunkRecord } from "../container/format/chunk_table.ts";
export type { RawLayout, TensorRecord, TensorSpec } from "../container/format/layout.ts";
export type { Manifest, Provenance, SavedBy } from "../container/format/manifest.ts";
export type { PartList, PartRecord, PartRole } from "../container/format/part_list.ts";
export type { StateValue } from "../container/format/state_tree.ts";
export type { TensorRef } from "../container/format/tensor_ref.ts";
export type { CastDType } from "../container/read/cast.ts";
export {
  ContainerReader,
  type RawChunksOptions,
  type ReadManyOptions,
  type ReadRangeOptions,
} from "../container/read/container_reader.ts";
export type { OpenOptions } from "../container/read/open_container.ts";
export type { TensorReadOptions } from "../container/read/tensor_selection.ts";
export type { TensorSlice } from "../container/read/tensor_slice.ts";
export type { Damage, VerifyReport } from "../container/read/verify.ts";
export { type ByteSink, type ByteSource, BytesSink, bytesSource } from "../container/source.ts";
export type { Coding } from "../container/write/coding.ts";
export { ContainerWriter, type PlannedCut, type WriteReport } from "../container/write/container_writer.ts";
export type { ContainerWriterOptions } from "../container/write/container_writer_options.ts";
