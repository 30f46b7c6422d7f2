import zlib from "node:zlib";
import { bytesOf } from "../../container/samples.ts";
import { forged } from "../../container/forge.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { CODECS, type SmallFile, smallFile, verdictOf } from "./files.ts";

/** Row F1: a file has one end, and is one thing. */
export async function truncation(campaign: Campaign): Promise<void> {
  for (const codec of CODECS) {
    const file = await smallFile(codec);
    await campaign.row(
      "F1",
      `every truncation (${codec}, ${file.bytes.byteLength} bytes)`,
      (row) => cuts(file, row),
    );
    await campaign.row(
      "F1",
      `1 to 4096 bytes behind the end or in front (${codec})`,
      (row) => tails(file, row),
    );
    await campaign.row("F1", `polyglots: two formats in one file (${codec})`, (row) => polyglots(file, row));
  }
}

async function judge(bytes: Uint8Array, file: SmallFile, row: RowRecorder, what: string): Promise<void> {
  row.point();
  try {
    if (await verdictOf(bytes, file.tensors) === "accepted") row.fail(`${what} was accepted`);
  } catch (error) {
    row.fail(`${what}: ${error}`);
  }
}

async function cuts(file: SmallFile, row: RowRecorder): Promise<void> {
  for (let length = 0; length < file.bytes.byteLength; length++) {
    await judge(file.bytes.subarray(0, length), file, row, `the first ${length} bytes`);
  }
}

async function tails(file: SmallFile, row: RowRecorder): Promise<void> {
  for (let length = 1; length <= 4096; length = length < 64 ? length + 1 : Math.ceil(length * 1.07)) {
    for (
      const [name, tail] of [["zeros", new Uint8Array(length)], ["noise", bytesOf(length, length)]] as const
    ) {
      await judge(joined(file.bytes, tail), file, row, `${length} bytes of ${name} behind the end`);
      await judge(joined(tail, file.bytes), file, row, `${length} bytes of ${name} in front`);
    }
  }
}

/** Beginnings and ends by which other programs know their files. */
async function foreignParts(file: SmallFile): Promise<[string, Uint8Array][]> {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const zipEnd = Uint8Array.of(0x50, 0x4b, 5, 6, ...new Uint8Array(18));
  const zipEndWithComment = zipEnd.slice();
  new DataView(zipEndWithComment.buffer).setUint16(20, file.bytes.byteLength % 65536, true);
  return [
    ["itself", file.bytes],
    ["the checkpoint before", (await smallFile(file.codec, 1)).bytes],
    ["its own trailer", file.bytes.slice(-128)],
    ["its own end from the tables on", file.bytes.slice(-1024)],
    ["its own header", file.bytes.slice(0, 4096)],
    ["its own first 64 bytes", file.bytes.slice(0, 64)],
    ["an empty zip", zipEnd],
    ["a zip whose comment goes on", zipEndWithComment],
    ["a local zip entry", Uint8Array.of(0x50, 0x4b, 3, 4, ...new Uint8Array(26))],
    ["a PDF", text("%PDF-1.4\n%%EOF\n")],
    ["HTML", text("<html><script>alert(1)</script></html>")],
    ["a shell script", text("#!/bin/sh\nexit 0\n")],
    ["a PNG", Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)],
    ["a gzip", new Uint8Array(zlib.gzipSync(bytesOf(100, 1)))],
    ["an empty safetensors", Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d)],
    ["a pickle", Uint8Array.of(0x80, 2, 0x4e, 0x2e)],
    ["a tar's end", new Uint8Array(1024)],
    ["an npy", Uint8Array.of(0x93, ...text("NUMPY\u0001\u0000"))],
  ];
}

async function polyglots(file: SmallFile, row: RowRecorder): Promise<void> {
  for (const [name, part] of await foreignParts(file)) {
    await judge(joined(file.bytes, part), file, row, `${name} behind the end`);
    await judge(joined(part, file.bytes), file, row, `${name} in front`);
    await judge(joined(part, file.bytes, part), file, row, `${name} around it`);
    await judge(
      joined(file.bytes.slice(0, -128), part, file.bytes.slice(-128)),
      file,
      row,
      `${name} before the trailer`,
    );
    const [start] = [part.subarray(0, 4032)];
    const inHeader = forged(file.bytes, (parts) => parts.header.set(start, 64));
    if (start.some((byte) => byte !== 0)) await judge(inHeader, file, row, `${name} in the header's padding`);
    const inGap = forged(file.bytes, (parts) => {
      parts.data = joined(parts.data, part, new Uint8Array((64 - part.byteLength % 64) % 64));
    });
    await judge(inGap, file, row, `${name} between the data and the tables, with all checksums right`);
    const grown = forged(joined(file.bytes), (parts) => void (parts.manifest = joined(parts.manifest, part)));
    await judge(grown, file, row, `${name} behind the manifest, with all checksums right`);
  }
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
