import { readFileSync } from "node:fs";
import { expect, test } from "bun:test";
import { tensorsOfContainer, tensorsOfFile } from "../../src/exchange/convert.ts";
import { readNpz, writeNpz } from "../../src/exchange/numpy/npz.ts";
import { readSafetensors } from "../../src/exchange/safetensors/read_safetensors.ts";
import { readTorch } from "../../src/exchange/torch/read_torch.ts";
import { writeSafetensors } from "../../src/exchange/safetensors/write_safetensors.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { BytesSink, bytesSource } from "../../src/container/source.ts";
import { thrownBy } from "../helpers/thrown.ts";

const torchFile = new Uint8Array(readFileSync(new URL("./files/torch_2.13.pt", import.meta.url)));
const golden = new Uint8Array(readFileSync(new URL("../golden/v1_deflate.cairn", import.meta.url)));

test("a PyTorch checkpoint becomes safetensors and npz, tied weights and all", async () => {
  const torch = await readTorch(bytesSource(torchFile));
  const names = torch.names().filter((name) => !/complex|float8/.test(name));
  const sink = new BytesSink();
  const { dropped } = await writeSafetensors(sink, await tensorsOfFile(torch, names));
  expect([...dropped]).toEqual([["tensors.tied.b", "tensors.tied.a"]]);
  const safetensors = await readSafetensors(bytesSource(sink.toBytes()));
  for (const name of names.filter((name) => !dropped.has(name))) {
    expect((await safetensors.read(name)).equals(await torch.read(name))).toBe(true);
  }
  const zip = new BytesSink();
  expect((await writeNpz(zip, await tensorsOfFile(torch, names))).widened).toEqual(["tensors.bfloat16"]);
  const npz = await readNpz(bytesSource(zip.toBytes()));
  expect(npz.names()).toEqual(names);
  expect((await npz.read("tensors.tied.b")).equals(await torch.read("tensors.tied.a"))).toBe(true);
  const alone = new BytesSink();
  expect((await writeSafetensors(alone, await tensorsOfFile(torch, ["tensors.tied.b"]))).tensors).toBe(1);
  expect((await thrownBy(() => tensorsOfFile(torch))).message).toMatch(
    /"tensors\.complex": Cairn has no dtype complex64/,
  );
});

test("a .cairn file becomes safetensors, and an alias that comes without its tensor keeps its bytes", async () => {
  const reader = await ContainerReader.open(bytesSource(golden));
  const sink = new BytesSink();
  const { dropped } = await writeSafetensors(sink, tensorsOfContainer(reader));
  expect([...dropped]).toEqual([["model.2.tied", "model.0.weight"]]);
  const file = await readSafetensors(bytesSource(sink.toBytes()));
  for (const { name } of reader.tensors) {
    if (dropped.has(name)) continue;
    const tensor = await file.read(name);
    expect(tensor.shape).toEqual([...reader.tensor(name).shape]);
    expect(tensor.bytes).toEqual(await reader.read(name));
  }
  const alone = new BytesSink();
  await writeSafetensors(alone, tensorsOfContainer(reader, ["model.2.tied"]));
  const tied = await readSafetensors(bytesSource(alone.toBytes()));
  expect((await tied.read("model.2.tied")).bytes).toEqual(await reader.read("model.0.weight"));
});

test("a tensor above maxBytes is refused in every format, and the message names it", async () => {
  const tooLarge = { code: "limit_exceeded", message: expect.stringMatching(/and maxBytes is 3;/) };
  const torch = await readTorch(bytesSource(torchFile));
  expect(await thrownBy(() => torch.read("tensors.base", { maxBytes: 3 }))).toMatchObject(tooLarge);
  const sink = new BytesSink();
  await writeSafetensors(sink, await tensorsOfFile(torch, ["tensors.base"]));
  const safetensors = await readSafetensors(bytesSource(sink.toBytes()));
  expect(await thrownBy(() => safetensors.read("tensors.base", { maxBytes: 3 }))).toMatchObject(tooLarge);
  expect((await safetensors.read("tensors.base", { maxBytes: 96 })).shape).toEqual([2, 3, 4]);
  const container = await ContainerReader.open(bytesSource(golden));
  const names = ["model.0.weight"];
  expect(await thrownBy(() => tensorsOfContainer(container, names, { maxBytes: 3 }))).toMatchObject(tooLarge);
});
