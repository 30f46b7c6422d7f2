import { describe, expect, test } from "bun:test";
import { areDistinct } from "../../../src/container/format/distinct_names.ts";
import { decodeNames } from "../../../src/container/format/tensor_name.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { randomNumbers } from "../samples.ts";

function table(names: readonly string[]): [Uint8Array, Uint16Array] {
  const parts = names.map((name) => new TextEncoder().encode(name));
  return [new Uint8Array(Buffer.concat(parts)), Uint16Array.from(parts, (part) => part.byteLength)];
}

/** FNV-1a, to find names that collide. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

function replaced(names: readonly string[], index: number, name = ""): string[] {
  return names.map((old, at) => at === index ? name : old);
}

describe("areDistinct", () => {
  test("finds two equal names wherever they are, in any language", () => {
    const names = Array.from({ length: 1000 }, (_, i) => i % 3 === 0 ? `größe.${i}` : `w${i}`);
    expect(areDistinct(...table(names))).toBe(true);
    for (const [a, b] of [[0, 1], [0, 999], [998, 999], [500, 501], [3, 300]] as const) {
      expect(areDistinct(...table(replaced(names, b, names[a])))).toBe(false);
    }
    expect(areDistinct(...table([]))).toBe(true);
    expect(areDistinct(...table(["a"]))).toBe(true);
    expect(areDistinct(...table(["ab", "a", "b", "ba"]))).toBe(true);
  });

  test("agrees with a Set on random short names (seed 5)", () => {
    const next = randomNumbers(5);
    let equal = 0;
    for (let run = 0; run < 500; run++) {
      const names = Array.from({ length: 20 }, () => String(Math.floor(next() * 200)));
      const isDistinct = new Set(names).size === names.length;
      expect(areDistinct(...table(names))).toBe(isDistinct);
      if (!isDistinct) equal++;
    }
    expect(equal).toBeGreaterThan(50);
    expect(equal).toBeLessThan(450);
  });

  test("names with equal hashes are told apart, and thousands in one slot take no time", () => {
    const found = new Map<number, string>();
    const pairs: string[] = [];
    for (let i = 0; pairs.length < 4; i++) {
      const name = `layer.${i}`;
      const other = found.get(hashOf(name));
      if (other !== undefined) pairs.push(other, name);
      found.set(hashOf(name), name);
    }
    expect(hashOf(pairs[0] as string)).toBe(hashOf(pairs[1] as string));
    expect(areDistinct(...table(pairs))).toBe(true);
    expect(areDistinct(...table([...pairs, pairs[0] as string]))).toBe(false);

    const crowded: string[] = [];
    for (let i = 0; crowded.length < 2000; i++) {
      const hash = hashOf(`x${i}`);
      if (((hash ^ (hash >>> 15)) & 4095) === 7) crowded.push(`x${i}`);
    }
    expect(areDistinct(...table(crowded))).toBe(true);
    expect(areDistinct(...table(replaced(crowded, 1999, crowded[1500])))).toBe(false);
  });

  test("two equal names are refused by name", async () => {
    const error = await thrownBy(() => decodeNames(...table(["w", "b", "w"])));
    expect(error).toMatchObject({ code: "invalid_container" });
    expect(error.message).toContain('two tensors named "w"');
  });
});
