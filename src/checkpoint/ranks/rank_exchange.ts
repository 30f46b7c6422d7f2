import { throwIfAborted } from "../../base/abort.ts";
import { type Clock, systemClock } from "../../base/clock.ts";
import { CairnError } from "../../base/errors.ts";
import { ContainerReader } from "../../container/read/container_reader.ts";
import type { StateValue } from "../../container/format/state_tree.ts";
import { writeContainerTo } from "../../container/write/write_container.ts";
import { DurableFile, TEMPORARY_PREFIX } from "../../storage/durable_file.ts";
import type { Storage } from "../../storage/storage.ts";
import { joinPath } from "../../storage/storage_path.ts";
import { removeLeftovers, temporaryName } from "../file/leftovers.ts";
import { randomHex } from "../../base/hex.ts";
import { openSource } from "../file/storage_source.ts";

/** The directory beside the checkpoints in which ranks that save together leave messages for each other. */
export const RANKS_DIRECTORY = "ranks";

const DEFAULT_TIMEOUT_MS = 1_800_000;
const DEFAULT_POLL_MS = 100;

/** How ranks wait for each other. */
export interface RankWaiting {
  readonly timeoutMs?: number | undefined;
  readonly pollMs?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Messages among ranks, as files in a directory that all of them see. Each is a container without tensors, so that it is there as a
 * whole or not at all, and its checksums say whether it is sound.
 */
export class RankExchange {
  readonly #storage: Storage;
  readonly #directory: string;
  /** In temporary names: of another exchange, even one of this process, nothing is taken for a leftover that may be alive. */
  readonly #owner: string = randomHex(16);
  readonly #pollMs: number;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  readonly #timeoutMs: number;
  readonly #deadline: number;
  readonly #inUse = new Set<string>();

  /** @param directory That of the checkpoints. The time to wait begins now, and is one for everything. */
  constructor(storage: Storage, directory: string, waiting: RankWaiting) {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, pollMs = DEFAULT_POLL_MS, clock = systemClock, signal } = waiting;
    this.#storage = storage;
    this.#directory = joinPath(directory, RANKS_DIRECTORY);
    this.#pollMs = pollMs;
    this.#clock = clock;
    this.#signal = signal;
    this.#timeoutMs = timeoutMs;
    this.#deadline = clock.now() + timeoutMs;
  }

  /** Leaves a message in the place of one of the same name. */
  async send(name: string, content: StateValue): Promise<void> {
    const file = await DurableFile.create(this.#storage, this.#path(name), {
      overwrite: true,
      randomName: temporaryName(this.#owner, randomHex(8)),
    });
    this.#inUse.add(file.temporaryName);
    try {
      await writeContainerTo(file, {
        tensors: [],
        fileId: crypto.getRandomValues(new Uint8Array(16)),
        manifest: { kind: "tensors", state: content, metrics: {}, provenance: {}, user: {} },
      });
      await file.commit();
    } catch (error) {
      await file.abort().catch(() => {});
      throw error;
    } finally {
      this.#inUse.delete(file.temporaryName);
    }
  }

  /** A message, or `undefined` when there is none. */
  async receive(name: string): Promise<StateValue> {
    try {
      const source = await openSource(this.#storage, this.#path(name));
      try {
        return (await ContainerReader.open(source)).manifest.state;
      } finally {
        await source.close();
      }
    } catch (error) {
      if (error instanceof CairnError && error.code === "not_found") return undefined;
      throw error;
    }
  }

  /**
   * Looks again and again until `look` gives something.
   *
   * @param waitingFor What is missing when the time is up, in words.
   * @throws CairnError `commit_failed` when the time is up; `signal.reason`.
   */
  async until<T>(look: () => Promise<T | undefined>, waitingFor: () => string): Promise<T> {
    while (true) {
      throwIfAborted(this.#signal);
      const found = await look();
      if (found !== undefined) return found;
      if (this.#clock.now() >= this.#deadline) {
        throw new CairnError(
          "commit_failed",
          `Cannot save together: ${waitingFor()} after ${this.#timeoutMs} ms; look whether that rank lives and saves into the same directory`,
          { details: { op: "save", limit: this.#timeoutMs } },
        );
      }
      await this.#clock.sleep(this.#pollMs, this.#signal);
    }
  }

  /** Removes one message, if it is there and can be removed. */
  async takeBack(name: string): Promise<void> {
    await this.#storage.remove(this.#path(name)).catch(() => {});
  }

  /**
   * Removes messages: those whose names begin so, and what a dead process left of one. What another rank is writing stays, as what cannot
   * be removed.
   */
  async clear(prefix = ""): Promise<void> {
    try {
      const owner = { runId: this.#owner, nowMs: this.#clock.now(), inUse: this.#inUse };
      await removeLeftovers(this.#storage, this.#directory, owner);
      for (const { name, kind } of await this.#storage.list(this.#directory)) {
        if (kind !== "file" || name.startsWith(TEMPORARY_PREFIX) || !name.startsWith(prefix)) continue;
        await this.#storage.remove(joinPath(this.#directory, name)).catch(() => {});
      }
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
    }
  }

  #path(name: string): string {
    return joinPath(this.#directory, name);
  }
}
