import type { ChunkReader } from "./chunk_reader.ts";

/** Where chunks come from, checked: one file, or several that are read as one. */
export type ChunkSource = Pick<
  ChunkReader,
  "readBytes" | "chunk" | "indexAt" | "read" | "readMany" | "readRaw"
>;
