// Files for the test of the page in a browser, made by the built package.
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from "node:fs";
import { BytesSink, ContainerWriter } from "@cairn-ml/cairn/container";

const MIB = 1024 * 1024;

/** A name that would run a script, were it ever read as HTML. */
export const HOSTILE = "<img src=x onerror=globalThis.ran=true>";

/** Bytes of `tensors`, by name, as a file that stores them as they are, each in chunks of its own. */
export async function cairnBytes(tensors, { metrics = {}, provenance = {}, state = {}, user = {} } = {}) {
  const sink = new BytesSink();
  await writeTo(sink, Object.entries(tensors).map(([name, values]) => ({ name, values })), {
    kind: "checkpoint",
    state,
    metrics,
    provenance,
    user,
  });
  return sink.toBytes();
}

async function writeTo(sink, tensors, manifest) {
  const writer = await ContainerWriter.create(sink, {
    tensors: tensors.map(({ name, values }) => ({ name, dtype: "f32", shape: [values.length] })),
    fileId: crypto.getRandomValues(new Uint8Array(16)),
    codec: "raw",
    chunkBytes: 4096,
  });
  const raw = new Uint8Array(writer.layout.rawByteLength);
  for (const { name, values } of tensors) {
    const { rawOffset, byteLength } = writer.layout.tensors.find((tensor) => tensor.name === name);
    raw.set(new Uint8Array(values.buffer, values.byteOffset, byteLength), rawOffset);
  }
  await writer.write(raw);
  await writer.finish(manifest);
}

/**
 * A file of 1 GiB that takes hardly any place on a disk: a layer with numbers in it, and one of zeros, which are a
 * hole.
 */
export async function writeGigabyte(path) {
  const file = openSync(path, "w");
  let end = 0;
  const sink = {
    write(bytes) {
      const isZero = bytes.byteLength >= MIB && bytes[0] === 0 &&
        Buffer.compare(bytes, zeros.subarray(0, bytes.byteLength)) === 0;
      if (!isZero) writeSync(file, bytes, 0, bytes.byteLength, end);
      end += bytes.byteLength;
      return Promise.resolve();
    },
  };
  const zeros = new Uint8Array(16 * MIB);
  const small = Float32Array.from({ length: MIB / 4 }, (_, i) => Math.sin(i));
  const writer = await ContainerWriter.create(sink, {
    tensors: [
      { name: "model.head.weight", dtype: "f32", shape: [512, 512] },
      { name: "model.body.weight", dtype: "f32", shape: [1023, 512, 512] },
    ],
    fileId: crypto.getRandomValues(new Uint8Array(16)),
    codec: "raw",
  });
  await writer.write(new Uint8Array(small.buffer));
  for (let written = MIB; written < 1024 * MIB; written += MIB) await writer.write(zeros.subarray(0, MIB));
  await writer.finish({ kind: "checkpoint", state: {}, metrics: {}, provenance: { step: 7 }, user: {} });
  ftruncateSync(file, end);
  closeSync(file);
}

/** Values that look like weights, other ones for each seed. */
export function weights(length, seed) {
  return Float32Array.from({ length }, (_, i) => 0.05 * Math.sin((i + 1) * (seed + 1)) * Math.cos(i * 0.37));
}

/** Writes a checkpoint of three tensors, and changes one byte of the second. */
export async function writeDamaged(path) {
  const tensors = { "model.a": weights(2048, 1), "model.b": weights(2048, 2), "model.c": weights(2048, 3) };
  const bytes = await cairnBytes(tensors, { provenance: { step: 3 } });
  const [start] = new Uint8Array(tensors["model.b"].buffer);
  const at = Buffer.from(bytes).indexOf(Buffer.from(tensors["model.b"].buffer).subarray(0, 256));
  if (at < 0 || bytes[at] !== start) throw new Error("the bytes of model.b are not in the file");
  bytes[at + 100] ^= 1;
  writeFileSync(path, bytes);
}

/** Writes a checkpoint in which everything that can be named is {@link HOSTILE}. */
export async function writeHostile(path) {
  const tensors = { [HOSTILE]: weights(64, 1), [`${HOSTILE}.${HOSTILE}`]: weights(64, 2) };
  const state = { [HOSTILE]: HOSTILE, list: [HOSTILE], map: new Map([[HOSTILE, HOSTILE]]) };
  const provenance = { step: 1, tag: HOSTILE, writer: HOSTILE, variants: { [HOSTILE]: HOSTILE } };
  writeFileSync(
    path,
    await cairnBytes(tensors, { metrics: { [HOSTILE]: 1 }, provenance, state, user: state }),
  );
}
