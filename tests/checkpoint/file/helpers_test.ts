import { describe, expect, test } from "bun:test";
import type { CheckpointSource } from "../../../src/checkpoint/capture/checkpoint_source.ts";
import { writeCheckpoint } from "../../../src/checkpoint/file/write_checkpoint.ts";
import { BytesSink, bytesSource } from "../../../src/container/source.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import type { Coding } from "../../../src/container/write/coding.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { asBytes, FILE_ID, manifestOf, weightsOf } from "../../container/samples.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { Checkpoint } from "../../../src/checkpoint/file/checkpoint.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";

const MiB = 1024 * 1024;
const BYTES = 64 * MiB;
const piece = asBytes(weightsOf(MiB / 4, 3));

/** Weights of 64 MiB, the same piece again and again. */
function sourceOf(fail?: Error): CheckpointSource {
  return {
    tensors: [{ name: "model.w", dtype: "f32", shape: [BYTES / 4] }],
    manifest: manifestOf(null),
    async writeTo(sink) {
      for (let at = 0; at < BYTES; at += MiB) {
        if (fail !== undefined && at === BYTES / 2) throw fail;
        await sink.write(piece);
      }
    },
    assertAlive() {},
  } as CheckpointSource;
}

async function written(coding: Coding, source = sourceOf()): Promise<Uint8Array> {
  const sink = new BytesSink();
  await writeCheckpoint(sink, source, { fileId: FILE_ID, provenance: {}, coding });
  return sink.toBytes();
}

/** Runs `work` on a machine with so many cores, and says how many threads it started and how many it left. */
async function onCores<T>(
  cores: number,
  work: () => Promise<T>,
): Promise<{ result: T; started: number; left: number }> {
  const { navigator, Worker } = globalThis;
  let started = 0;
  let left = 0;
  globalThis.Worker = class extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      started++;
      left++;
    }
    override terminate(): void {
      left--;
      super.terminate();
    }
  };
  Object.defineProperty(globalThis, "navigator", {
    value: { hardwareConcurrency: cores },
    configurable: true,
  });
  try {
    const result = await work();
    return { result, started, left };
  } finally {
    globalThis.Worker = Worker;
    Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  }
}

describe("threads that help with a large checkpoint", () => {
  test("encode a part of it, end with the save, and the bytes are those of one thread", async () => {
    const alone = await onCores(1, () => written({}));
    expect([alone.started, alone.left]).toEqual([0, 0]);
    for (const [cores, threads] of [[2, 1], [3, 2], [16, 2]] as const) {
      const helped = await onCores(cores, () => written({}));
      expect([helped.started, helped.left]).toEqual([threads, 0]);
      expect(Buffer.compare(helped.result, alone.result)).toBe(0);
    }
    const reader = await ContainerReader.open(bytesSource(alone.result));
    expect((await reader.verify()).ok).toBe(true);
  });

  test("are not started for what needs no encoding, nor by the mode fast, and end with a save that fails", async () => {
    for (const coding of [{ codec: "raw" }, { mode: "fast" }] as const) {
      expect((await onCores(2, () => written(coding))).started).toBe(0);
    }
    const failure = new Error("the device is gone");
    const failed = await onCores(2, () => thrownBy(() => written({}, sourceOf(failure))));
    expect(failed.result).toBe(failure);
    expect([failed.started, failed.left]).toEqual([1, 0]);
  });

  test("need not start: a machine that forbids them saves the same bytes", async () => {
    const { Worker } = globalThis;
    const alone = await onCores(1, () => written({}));
    const forbidden = await onCores(2, () => {
      globalThis.Worker = class {
        constructor() {
          throw new Error("the page's policy forbids workers");
        }
      } as unknown as typeof Worker;
      return written({});
    });
    expect(Buffer.compare(forbidden.result, alone.result)).toBe(0);
  });

  gpuTest("decode a part of it for a load, end with it, and name the same damage", async (gpu) => {
    const file = await written({});
    const storage = new MemoryStorage();
    const put = async (name: string, bytes: Uint8Array): Promise<void> => {
      const writer = await storage.createExclusive(name);
      for (let at = 0; at < bytes.byteLength;) at += await writer.write(bytes.subarray(at));
      await writer.sync();
      await writer.close();
    };
    await put("sound.cairn", file);
    const damaged = file.slice();
    damaged[damaged.byteLength >>> 1]! ^= 1;
    await put("damaged.cairn", damaged);
    const store = TensorStore.on(gpu);
    store.define("model", [{ name: "w", dtype: "f32", shape: [BYTES / 4] }]);
    store.write({ "model.w": HostTensor.fromBytes(new Uint8Array(BYTES), "f32", [BYTES / 4]) });
    const load = async (name: string): Promise<void> => {
      const checkpoint = await Checkpoint.open(storage, `${name}.cairn`, name);
      try {
        await checkpoint.loadInto(store);
      } finally {
        await checkpoint.close();
      }
    };
    // None beside a runtime that copies on a thread of its own.
    const threads = gpu.hasBlockingFences ? 0 : 1;
    const messages: string[] = [];
    for (const cores of [1, 2]) {
      const failed = await onCores(cores, () => thrownBy(() => load("damaged")));
      expect(failed.result).toMatchObject({ code: "checksum_mismatch" });
      expect([failed.started, failed.left]).toEqual([cores === 2 ? threads : 0, 0]);
      messages.push(failed.result.message);
    }
    expect(messages[1]).toBe(messages[0] as string);
    const bytesOf = async (): Promise<Uint8Array> => {
      return (await store.read(["model.w"])).get("model.w")?.bytes ?? new Uint8Array(0);
    };
    expect(Buffer.compare(await bytesOf(), new Uint8Array(BYTES))).toBe(0);
    const helped = await onCores(2, () => load("sound"));
    expect([helped.started, helped.left]).toEqual([threads, 0]);
    const bytes = await bytesOf();
    for (let at = 0; at < BYTES; at += MiB) {
      expect(Buffer.compare(bytes.subarray(at, at + MiB), piece)).toBe(0);
    }
    await store.close();
  });
});
