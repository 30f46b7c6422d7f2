import { describe, expect, test } from "bun:test";
import { openSafetensors } from "../../src/exchange/safetensors/open_safetensors.ts";
import { readNpy, writeNpy } from "../../src/exchange/numpy/npy.ts";
import { readNpz, writeNpz } from "../../src/exchange/numpy/npz.ts";
import { readSafetensors } from "../../src/exchange/safetensors/read_safetensors.ts";
import { readTorch } from "../../src/exchange/torch/read_torch.ts";
import { writeSafetensors } from "../../src/exchange/safetensors/write_safetensors.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { type ByteSource, BytesSink, bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { FILE_ID, manifestOf, tensorOf } from "../container/samples.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { checkpointOf, latin1, zipOf } from "./torch_files.ts";

const OPENERS: Record<string, (source: ByteSource) => Promise<unknown>> = {
  safetensors: readSafetensors,
  npy: readNpy,
  npz: readNpz,
  PyTorch: readTorch,
  container: (source) => ContainerReader.open(source),
};

async function collected(write: (sink: BytesSink) => Promise<unknown>): Promise<Uint8Array> {
  const sink = new BytesSink();
  await write(sink);
  return sink.toBytes();
}

const tensors = { a: HostTensor.from([1, 2, 3]) };
const POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${
  "4d7a2146".repeat(8)
}\nsize 12345\n`;

/** Files of other kinds: what is said of each, and the opener whose own it is. */
const KINDS: [name: string, bytes: Uint8Array, message: RegExp, own?: string][] = [
  ["a git-lfs pointer", latin1(POINTER), /it is a git-lfs pointer to 12345 bytes.*git lfs pull/],
  ["a git-annex pointer", latin1("/annex/objects/SHA256E-s5--ab.pt\n"), /git annex get/],
  [
    "an HTML page",
    latin1("\n<!DOCTYPE html>\n<html><title>Sign in</title>"),
    /it is an HTML page.*logged in/,
  ],
  ["an HTML page in capitals", latin1("<HTML><BODY>Not here"), /HTML page/],
  [
    "an XML error",
    latin1('<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>'),
    /it is an XML document/,
  ],
  ["a JSON error", latin1('{"error":"Repository not found"}'), /it is JSON.*Repository not found/],
  [
    "an index",
    latin1('{"metadata":{"total_size":5},"weight_map":{}}'),
    /it is the index of a model.*index\.json/,
  ],
  ["a text", latin1("Invalid username or password."), /it is text that begins with "Invalid username/],
  [
    "a text that is cut inside a letter",
    new TextEncoder().encode("ö".repeat(400)).subarray(0, 511),
    /it is text/,
  ],
  ["a gzip file", latin1("\x1f\x8b\x08\0\0\0\0\0\0\x03"), /it is compressed with gzip; unpack it/],
  ["a tar archive", latin1(`${"name".padEnd(257, "\0")}ustar\0`.padEnd(600, "\0")), /it is a tar archive/],
  ["an HDF5 file", latin1(`\x89HDF\r\n\x1a\n${"\0".repeat(100)}`), /it is an HDF5 file/],
  ["a GGUF file", latin1(`GGUF\x03\0\0\0${"\0".repeat(100)}`), /it is a GGUF file/],
  ["a bare pickle", latin1("\x80\x04\x95\x05\0\0\0\0\0\0\0}q\0."), /it is a bare pickle.*before 1\.6/],
  ["an empty file", new Uint8Array(0), /it is empty/],
  ["zeros", new Uint8Array(5000), /it is all zeros at its start/],
  [
    "a safetensors file",
    await collected((sink) => writeSafetensors(sink, tensors)),
    /it is a safetensors file; open it with openSafetensors/,
    "safetensors",
  ],
  [
    "an npy file",
    await collected((sink) => writeNpy(sink, tensors.a)),
    /it is an npy file; open it with readNpy/,
    "npy",
  ],
  ["an npz file", await collected((sink) => writeNpz(sink, tensors)), /open it with .*readNpz/, "npz"],
  ["a PyTorch checkpoint", await checkpointOf("}."), /open it with .*readTorch/, "PyTorch"],
  [
    "a container",
    await writeContainer({
      tensors: [tensorOf("a", "u8", [8], 1)],
      manifest: manifestOf(null),
      fileId: FILE_ID,
    }),
    /it is a \.cairn file; open it with openCheckpoint/,
    "container",
  ],
];

describe("a file of another kind", () => {
  for (const [name, bytes, message, own] of KINDS) {
    for (const [opener, open] of Object.entries(OPENERS)) {
      if (opener === own) continue;
      test(`${name} where a ${opener} file is expected: the error says what it is`, async () => {
        const error = await thrownBy(() => open(bytesSource(bytes)));
        expect(error.name).toBe("CairnError");
        expect(["truncated", "invalid_file", "unsupported", "not_a_container"]).toContain(String(error.code));
        expect(error.message).toMatch(message);
        expect(error.message.length).toBeLessThan(300);
      });
    }
  }

  test("its own kind is opened, and what is wrong with it is said as before", async () => {
    for (const [, bytes, , own] of KINDS) {
      if (own === undefined) continue;
      await OPENERS[own]?.(bytesSource(bytes));
      const error = await thrownBy(() => OPENERS[own]?.(bytesSource(bytes.slice(0, -1))));
      expect(error.message).not.toContain("it is a");
    }
  });

  test("the path is said as well where there is one, of an index too", async () => {
    const storage = new MemoryStorage();
    for (const path of ["m.safetensors", "m.safetensors.index.json"]) {
      const file = await storage.createExclusive(path);
      await file.write(latin1(POINTER));
      await file.close();
      const error = await thrownBy(() => openSafetensors(storage, path));
      expect(error.message).toContain(path);
      expect(error.message).toMatch(/it is a git-lfs pointer/);
    }
  });

  test("an archive with a model in it is to be unpacked, and Keras' own is named", async () => {
    const entries: [string, RegExp][] = [
      ["folder/model.pt", /an archive with "folder\/model\.pt" in it; unpack it first/],
      ["model.weights.h5", /a model of Keras/],
    ];
    for (const [entry, message] of entries) {
      const bytes = await zipOf({ [entry]: Uint8Array.of(1) });
      expect((await thrownBy(() => readTorch(bytesSource(bytes)))).message).toMatch(message);
    }
  });
});
