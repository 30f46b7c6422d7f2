import { throwIfAborted } from "../../../base/abort.ts";
import { type Clock, systemClock } from "../../../base/clock.ts";
import { CairnError } from "../../../base/errors.ts";
import { randomHex } from "../../../base/hex.ts";
import type { StateValue } from "../../../container/format/state_tree.ts";
import { ContainerReader } from "../../../container/read/container_reader.ts";
import { writeContainerTo } from "../../../container/write/write_container.ts";
import { DurableFile, TEMPORARY_PREFIX } from "../../../storage/durable_file.ts";
import { namesIn } from "../../../storage/names_in.ts";
import type { Storage } from "../../../storage/storage.ts";
import { joinPath } from "../../../storage/storage_path.ts";
import { removeLeftovers, temporaryName } from "../../file/leftovers.ts";
import { openSource } from "../../file/storage_source.ts";
import type { TimeLimit } from "../group_call.ts";

/** The folder of a directory in which ranks leave messages for each other. */
export const RANKS_DIRECTORY = "ranks";

const DEFAULT_POLL_MS = 100;

/** How to look for messages. */
export interface Looking {
  /** How long to wait before looking again, at most: it is sooner at first. Default 100 ms. */
  readonly pollMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** Bytes of a message, by name. */
export type Attachments = Readonly<Record<string, Uint8Array>>;

/**
 * Messages among ranks, as files in a directory that all of them see. Each is a container, so that it is there as a
 * whole or not at all, and its checksums say whether it is sound.
 */
export class MessageDirectory {
  readonly #storage: Storage;
  readonly #directory: string;
  /** In temporary names: files of others, even in this process, that may be alive are not taken for leftovers. */
  readonly #owner: string = randomHex(16);
  readonly #inUse = new Set<string>();
  readonly #pollMs: number;
  readonly #clock: Clock;
  #looks = 0;

  /** @param directory The one in which the folder of the messages is. */
  constructor(storage: Storage, directory: string, { pollMs, clock }: Looking) {
    this.#storage = storage;
    this.#directory = joinPath(directory, RANKS_DIRECTORY);
    this.#pollMs = pollMs ?? DEFAULT_POLL_MS;
    this.#clock = clock ?? systemClock;
  }

  /** Leaves a message, and replaces one of the same name. */
  async send(name: string, content: StateValue, attachments: Attachments = {}): Promise<void> {
    this.#looks = 0;
    const file = await DurableFile.create(this.#storage, this.#path(name), {
      overwrite: true,
      randomName: temporaryName(this.#owner, randomHex(8)),
    });
    this.#inUse.add(file.temporaryName);
    try {
      await writeContainerTo(file, {
        tensors: Object.entries(attachments).map(([name, bytes]) => ({
          spec: { name, dtype: "u8", shape: [bytes.byteLength] },
          bytes,
        })),
        codec: "raw",
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

  /** What a message says; `undefined` when there is none. */
  async receive(name: string): Promise<StateValue> {
    return await this.read(name, (reader) => Promise.resolve(reader.manifest.state));
  }

  /** What `use` makes of a message; `undefined` when there is none. */
  async read<T>(name: string, use: (reader: ContainerReader) => Promise<T>): Promise<T | undefined> {
    try {
      const source = await openSource(this.#storage, this.#path(name));
      try {
        const result = await use(await ContainerReader.open(source));
        this.#looks = 0;
        return result;
      } finally {
        await source.close();
      }
    } catch (error) {
      if (error instanceof CairnError && error.code === "not_found") return undefined;
      throw error;
    }
  }

  /** The names of all messages. */
  async names(): Promise<ReadonlySet<string>> {
    const names = await namesIn(this.#storage, this.#directory);
    return new Set(names.filter((name) => !name.startsWith(TEMPORARY_PREFIX)));
  }

  /** Waits before the next look: longer each time, until a message was sent or is there. */
  async pause(atMostMs: number, signal: AbortSignal | undefined): Promise<void> {
    await this.#clock.sleep(Math.min(atMostMs, this.#pollMs, 2 ** this.#looks++), signal);
  }

  /**
   * Looks again and again until `look` gives something.
   *
   * @param timeUp The error when the time is up.
   * @throws `signal.reason`.
   */
  async until<T>(
    look: () => Promise<T | undefined>,
    { limit, signal, timeUp }: {
      readonly limit: TimeLimit;
      readonly signal: AbortSignal | undefined;
      readonly timeUp: () => Error;
    },
  ): Promise<T> {
    while (true) {
      throwIfAborted(signal);
      const found = await look();
      if (found !== undefined) return found;
      const { leftMs } = limit;
      if (leftMs === 0) throw timeUp();
      await this.pause(leftMs, signal);
    }
  }

  /** Removes one message, if it is there and can be removed. */
  async takeBack(name: string): Promise<void> {
    await this.#storage.remove(this.#path(name)).catch(() => {});
  }

  /**
   * Removes the messages whose names are such, and what dead processes left of any. What another rank is writing
   * stays, as what cannot be removed.
   */
  async clear(isOver: (name: string) => boolean): Promise<void> {
    try {
      const owner = { runId: this.#owner, nowMs: this.#clock.now(), inUse: this.#inUse };
      await removeLeftovers(this.#storage, this.#directory, owner);
      for (const name of await this.names()) if (isOver(name)) await this.takeBack(name);
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
    }
  }

  #path(name: string): string {
    return joinPath(this.#directory, name);
  }
}
