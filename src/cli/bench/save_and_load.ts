import { CairnError } from "../../base/errors.ts";
import { FileEngine } from "../../checkpoint/engine/file_engine.ts";
import type { CompressionMode } from "../../container/codec/choose.ts";
import type { FileStorage } from "../../storage/file_storage.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import type { BenchContents } from "./contents.ts";
import { type Seconds, seconds } from "./disk_ceilings.ts";

/** The modes of a save. */
export const MODES: readonly CompressionMode[] = ["fast", "balanced", "small"];

/** Saves contents durably in one mode, and loads them again. */
export class SaveAndLoad {
  readonly mode: CompressionMode;
  readonly save: Seconds = [];
  readonly load: Seconds = [];
  /** Bytes of the file, of the last round. */
  fileBytes = 0;
  readonly #engine: FileEngine;
  readonly #contents: BenchContents;

  private constructor(mode: CompressionMode, engine: FileEngine, contents: BenchContents) {
    this.mode = mode;
    this.#engine = engine;
    this.#contents = contents;
  }

  static async open(
    storage: FileStorage,
    mode: CompressionMode,
    contents: BenchContents,
  ): Promise<SaveAndLoad> {
    // Reading back is apart: loading is measured by itself.
    const engine = await FileEngine.open(storage, { mode, verifyEvery: 0 });
    return new SaveAndLoad(mode, engine, contents);
  }

  /** One save and one load of it, compared bit by bit. */
  async round(): Promise<void> {
    const tag = `bench-${this.mode}`;
    try {
      this.save.push(
        await seconds(async () => {
          await this.#engine.create(tag);
          const report = await this.#engine.save({ state: { tensors: this.#contents.tensors } });
          await this.#engine.commit(tag);
          this.fileBytes = report.fileBytes;
        }),
      );
      let loaded: unknown;
      this.load.push(
        await seconds(async () => {
          const checkpoint = await this.#engine.load(tag);
          loaded = await checkpoint.stateFor("tensors");
          await checkpoint.close();
        }),
      );
      this.#requireSame(loaded);
    } finally {
      await this.#engine.remove(tag).catch(() => {});
    }
  }

  async close(): Promise<void> {
    await this.#engine.cleanup();
  }

  #requireSame(loaded: unknown): void {
    const found = loaded as Readonly<Record<string, unknown>>;
    for (const [name, tensor] of Object.entries(this.#contents.tensors)) {
      const other = found[name];
      if (other instanceof HostTensor && other.equals(tensor)) continue;
      throw new CairnError("checksum_mismatch", `What was loaded is not what was saved: "${name}" differs`, {
        details: { tensor: name },
      });
    }
  }
}
