import type { Campaign, RowRecorder } from "../campaign.ts";
import { CODECS, type SmallFile, smallFile, verdictOf } from "./files.ts";

/** Rows E1 and E2: whatever happens to the bytes of a file in place. Every one has to be noticed. */
export async function bitDamage(campaign: Campaign): Promise<void> {
  for (const codec of CODECS) {
    const file = await smallFile(codec);
    const size = `${codec}, ${file.bytes.byteLength} bytes`;
    await campaign.row("E1", `every single-bit flip (${size})`, (row) => flipBits(file, row));
    await campaign.row(
      "E2",
      `bytes set to 00, FF, ^55, 1 and complement (${size})`,
      (row) => setBytes(file, row),
    );
    await campaign.row("E2", `bursts of 2 to 32 bits at every bit (${size})`, (row) => bursts(file, row));
    await campaign.row("E2", `blocks zeroed, swapped, doubled, stale (${size})`, (row) => blocks(file, row));
  }
}

async function judge(file: SmallFile, row: RowRecorder, what: () => string): Promise<void> {
  row.point();
  try {
    if (await verdictOf(file.bytes, file.tensors) === "accepted") row.fail(`${what()} was accepted`);
  } catch (error) {
    row.fail(`${what()}: ${error}`);
  }
}

async function flipBits(file: SmallFile, row: RowRecorder): Promise<void> {
  const { bytes } = file;
  for (let at = 0; at < bytes.byteLength; at++) {
    const byte = bytes[at] as number;
    for (let bit = 0; bit < 8; bit++) {
      bytes[at] = byte ^ (1 << bit);
      await judge(file, row, () => `bit ${bit} of byte ${at}`);
    }
    bytes[at] = byte;
  }
  await requireSound(file, row);
}

async function setBytes(file: SmallFile, row: RowRecorder): Promise<void> {
  const { bytes } = file;
  for (let at = 0; at < bytes.byteLength; at++) {
    const byte = bytes[at] as number;
    for (const value of [0x00, 0xff, byte ^ 0x55, 0x01, byte ^ 0xff]) {
      if (value === byte) continue;
      bytes[at] = value;
      await judge(file, row, () => `byte ${at} as ${value}`);
    }
    bytes[at] = byte;
  }
  await requireSound(file, row);
}

/** At every bit two lengths; thirty-one bits on, all of them have been there. */
async function bursts(file: SmallFile, row: RowRecorder): Promise<void> {
  const original = file.bytes.slice();
  for (let start = 0; start < original.byteLength * 8; start++) {
    for (const length of [2 + start % 31, 2 + (start * 7 + 3) % 31]) {
      if (start + length > original.byteLength * 8) continue;
      const first = start >>> 3;
      const last = (start + length - 1) >>> 3;
      for (let bit = start; bit < start + length; bit++) {
        file.bytes[bit >>> 3] = (file.bytes[bit >>> 3] as number) ^ (1 << (bit & 7));
      }
      await judge(file, row, () => `a burst of ${length} at bit ${start}`);
      file.bytes.set(original.subarray(first, last + 1), first);
    }
  }
  await requireSound(file, row);
}

async function blocks(file: SmallFile, row: RowRecorder): Promise<void> {
  const original = file.bytes.slice();
  const { bytes: older } = await smallFile(file.codec, 1);
  const part = (from: Uint8Array, at: number, size: number): Uint8Array => from.slice(at, at + size);
  const put = async (at: number, block: Uint8Array, what: string): Promise<void> => {
    file.bytes.set(block.subarray(0, original.byteLength - at), at);
    if (Buffer.compare(file.bytes, original) !== 0) await judge(file, row, () => what);
    file.bytes.set(original);
  };
  for (const size of [64, 512, 4096]) {
    for (let at = 0; at < original.byteLength; at += size) {
      await put(at, new Uint8Array(size), `a block of ${size} zeros at ${at}`);
      await put(at, new Uint8Array(size).fill(0xff), `a block of ${size} ones at ${at}`);
      await put(at, part(older, at, size), `a stale block of ${size} at ${at}`);
      for (let other = 0; other < original.byteLength; other += size) {
        if (other === at) continue;
        await put(at, part(original, other, size), `block ${other} of ${size} also at ${at}`);
        if (other < at) continue;
        file.bytes.set(part(original, at, Math.min(size, original.byteLength - other)), other);
        await put(at, part(original, other, size), `blocks ${at} and ${other} of ${size} swapped`);
      }
    }
  }
  await requireSound(file, row);
}

/** A campaign in which everything is refused proves nothing unless the undamaged file is not. */
async function requireSound(file: SmallFile, row: RowRecorder): Promise<void> {
  const verdict = await verdictOf(file.bytes, file.tensors);
  if (verdict !== "accepted") row.fail(`the undamaged file is ${verdict}`);
}
