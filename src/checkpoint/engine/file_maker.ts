import { pickOptions } from "../../base/options/options.ts";
import { type Coding, CODING_OPTIONS } from "../../container/write/coding.ts";
import { bytesAsHex } from "../../base/hex.ts";
import { VERSION } from "../../container/version.ts";
import type { Provenance, SavedBy } from "../../container/format/manifest.ts";
import type { FileEngineOptions } from "./file_engine_options.ts";
import { type GpuEncoding, MeasuredGpuEncoding } from "../../gpu_codec/gpu_encoding.ts";
import type { KnownCheckpoints } from "./known_checkpoints.ts";
import { temporaryName } from "../file/leftovers.ts";
import type { NewFiles } from "../file/parts/prepared_part.ts";

const WRITER = `cairn ${VERSION}`;

/** What an engine makes its files with: unique names and ids, provenance, and how chunks are coded. */
export class FileMaker implements NewFiles {
  /** Written into each checkpoint, and a part of temporary names. */
  runId: string;
  readonly inUse: Set<string> = new Set();
  readonly coding: Coding;
  readonly gpuEncoding: GpuEncoding = new MeasuredGpuEncoding();
  readonly now: () => number;
  /** `savedBy` where nothing else says it. */
  readonly savedBy: SavedBy;
  readonly #random: (byteLength: number) => Uint8Array;

  constructor(options: FileEngineOptions) {
    const { now, random, runId, onDiskFull } = options;
    this.now = now ?? Date.now;
    this.savedBy = onDiskFull === "evictOldest" ? "auto" : "user";
    this.#random = random ?? ((byteLength) => crypto.getRandomValues(new Uint8Array(byteLength)));
    this.coding = pickOptions<Coding>(options, CODING_OPTIONS);
    this.runId = runId ?? this.randomHex(16);
  }

  /** Random bytes as hexadecimal text. */
  randomHex(byteLength: number): string {
    return bytesAsHex(this.#random(byteLength));
  }

  randomName(): string {
    return temporaryName(this.runId, this.randomHex(8));
  }

  fileId(): Uint8Array {
    return this.#random(16);
  }

  /** The provenance of a whole checkpoint that is written now, with what its state says. */
  provenanceIn(
    directory: KnownCheckpoints,
    tag: string,
    provenance: Provenance,
    savedBy: SavedBy | undefined,
  ): Provenance {
    return {
      ...provenance,
      ...this.provenanceOf(tag),
      savedBy: provenance.savedBy ?? savedBy ?? this.savedBy,
      order: directory.highestOrder + 1,
    };
  }

  /** The provenance of a file that is written now. */
  provenanceOf(tag: string): Partial<Provenance> {
    return { writer: WRITER, runId: this.runId, tag, createdAt: new Date(this.now()).toISOString() };
  }
}
