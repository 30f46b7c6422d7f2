import type { ContainerReader } from "../../src/container/read/container_reader.ts";
import type { ContainerWriter } from "../../src/container/write/container_writer.ts";
import type { BytesSink, bytesSource } from "../../src/container/source.ts";
import type { GoldenFile } from "./golden_files.ts";

/** The parts of the library that it needs. */
export interface ContainerClasses {
  readonly ContainerReader: typeof ContainerReader;
  readonly ContainerWriter: typeof ContainerWriter;
  readonly BytesSink: typeof BytesSink;
  readonly bytesSource: typeof bytesSource;
}

export function rewritten(
  container: ContainerClasses,
  bytes: Uint8Array,
  golden: GoldenFile,
): Promise<Uint8Array>;
