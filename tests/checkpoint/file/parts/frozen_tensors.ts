import type { ByteSink } from "../../../../src/container/source.ts";
import { alignUp, TENSOR_ALIGNMENT } from "../../../../src/base/checked.ts";
import { FrozenCheckpoint } from "../../../../src/checkpoint/capture/frozen_checkpoint.ts";
import type { StateInput } from "../../../../src/checkpoint/capture/state_types.ts";
import type { Provenance } from "../../../../src/container/format/manifest.ts";
import type { Storage } from "../../../../src/storage/storage.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { counterRandom } from "../../fixtures.ts";

/** Tensors of a store by name; text is the name of another one whose bytes they share. */
export type TensorsByName = Readonly<Record<string, HostTensor | string>>;

/**
 * A frozen checkpoint whose tensors are on the host, for tests that need no GPU: engines take it for what a store
 * gave.
 */
export function frozenTensors(
  tensors: TensorsByName,
  rest: { state?: StateInput; metrics?: Record<string, number>; provenance?: Partial<Provenance> } = {},
): FrozenCheckpoint {
  const host = FrozenCheckpoint.of(rest);
  const bytesOf = (name: string): HostTensor => {
    const found = tensors[name];
    return typeof found === "string" ? bytesOf(found) : found as HostTensor;
  };
  const specs = Object.entries(tensors).map(([name, tensor]) => {
    const { dtype, shape } = bytesOf(name);
    return { name, dtype, shape, ...typeof tensor === "string" ? { aliasOf: tensor } : {} };
  });
  const writeTo = async (sink: ByteSink, signal?: AbortSignal): Promise<void> => {
    for (const tensor of Object.values(tensors)) {
      if (typeof tensor === "string") continue;
      const padded = new Uint8Array(alignUp(tensor.bytes.byteLength, TENSOR_ALIGNMENT));
      padded.set(tensor.bytes);
      // In pieces that fall on no boundary of a tensor.
      for (let at = 0; at < padded.byteLength; at += 100) await sink.write(padded.subarray(at, at + 100));
    }
    await host.writeTo(sink, signal);
  };
  const frozen = Object.create(host) as FrozenCheckpoint;
  Object.defineProperties(frozen, {
    tensors: { value: [...specs, ...host.tensors] },
    manifest: { value: host.manifest },
    rawByteLength: { value: 0 },
    writeTo: { value: writeTo },
    encodingGpu: { value: undefined },
    assertAlive: { value: () => {} },
    release: { value: () => {} },
  });
  return frozen;
}

/**
 * A model with tied weights, odd sizes and an empty tensor, and the states of its optimiser. Different bytes for each
 * seed.
 */
export function modelTensors(seed: number): TensorsByName {
  const random = counterRandom(seed);
  const tensor = (shape: number[], dtype: "f32" | "u8" = "f32"): HostTensor => {
    const count = shape.reduce((product, size) => product * size, 1);
    return HostTensor.fromBytes(random(count * (dtype === "f32" ? 4 : 1)), dtype, shape);
  };
  return {
    "model.0.weight": tensor([20, 30]),
    "model.0.bias": tensor([30]),
    "model.mask": tensor([7], "u8"),
    "model.nothing": tensor([0, 4]),
    "model.1.weight": tensor([30, 31]),
    "model.tied": "model.0.weight",
    "optimizer.m.0.weight": tensor([20, 30]),
    "optimizer.m.1.weight": tensor([30, 31]),
    "optimizer.v.0.weight": tensor([20, 30]),
    "loss.ring": tensor([3]),
  };
}

/** A file's bytes. */
export async function readBytes(storage: Storage, path: string): Promise<Uint8Array> {
  const reader = await storage.openRead(path);
  const into = new Uint8Array(reader.byteLength);
  for (let at = 0; at < into.byteLength;) at += await reader.read(at, into.subarray(at));
  await reader.close();
  return into;
}
