/**
 * Data that is read while the GPU works: examples by their number or one after the other, larger than memory, changed
 * at random and drawn by weight, and resumed at the same example.
 *
 * @example
 * ```ts
 * import { MapLoader } from "@cairn-ml/cairn/data";
 *
 * // Images of 8 x 8 that are made when they are asked for; a map may read them from anywhere.
 * const stripes = {
 *   length: 1000,
 *   async get(index: number) {
 *     await Promise.resolve();
 *     const image = Float32Array.from({ length: 64 }, (_, at) => ((index % 2 === 0 ? at : at >> 3) & 1));
 *     return { inputs: image, labels: index % 2 };
 *   },
 * };
 * const data = await MapLoader.open(stripes, {
 *   batchSize: 32,
 *   shuffle: true,
 *   inputs: { dtype: "f32", shape: [1, 8, 8] },
 *   labels: { dtype: "u32", shape: [] },
 *   transform({ inputs, labels }, random) {
 *     const brightness = random.uniform(0.5, 1);
 *     return { inputs: inputs.map((pixel) => pixel * brightness), labels };
 *   },
 * });
 * const { inputs } = await data.batchAt({ seed: 1, epoch: 0, position: 0 });
 * console.log(inputs.byteLength); // 32 images of 64 numbers of 4 bytes
 * ```
 *
 * @module
 */
export type { JsonValue } from "../base/canonical_json.ts";
export type { BatchReader } from "../data/batch_source.ts";
export type { Example, ExampleSpecs } from "../data/example.ts";
export type { ExampleMap, ReadContext } from "../data/example_map.ts";
export type { FileOfData } from "../data/files/byte_location.ts";
export { type ClassFile, type ClassFolders, openClassFolders } from "../data/files/class_folders.ts";
export { type CsvOptions, type CsvRow, csvRows, numbersIn, readCsv } from "../data/files/csv_rows.ts";
export { jsonlRows } from "../data/files/jsonl_rows.ts";
export { openRows, type OpenRowsOptions } from "../data/files/open_rows.ts";
export type { ExampleOrderOptions, OrderedEpoch, Sampler } from "../data/example_order.ts";
export { ExampleRandom } from "../data/example_random.ts";
export type { ExampleStream, Streamed, StreamRequest } from "../data/stream/example_stream.ts";
export {
  type ExampleParts,
  examplesOf,
  type RowsLike,
  type TensorExample,
} from "../data/rows/examples_of.ts";
export type { LoaderFailure } from "../data/loader_failure.ts";
export type { ExampleLoaderOptions, Transform } from "../data/loader_options.ts";
export { MapLoader, type MapLoaderOptions } from "../data/map_loader.ts";
export { balancedSampler } from "../data/sampling/balanced_sampler.ts";
export type { SamplerOptions } from "../data/sampling/sampler_options.ts";
export { weightedSampler } from "../data/sampling/weighted_sampler.ts";
export type { StoredRows } from "../data/rows/stored_rows.ts";
export { StreamLoader, type StreamLoaderOptions } from "../data/stream/stream_loader.ts";
export {
  type TokenArray,
  type TokenWindow,
  tokenWindows,
  type TokenWindowsOptions,
} from "../data/rows/token_windows.ts";
