import { describe, expect, test } from "bun:test";
import { KeyedWords } from "../../src/data/keyed_words.ts";
import { philoxTwin } from "../kernels/twins/philox_twin.ts";

describe("KeyedWords", () => {
  test("are the words of Philox 4x32-10, block after block", () => {
    for (const seed of [0n, 1n, 0x0123_4567_89ab_cdefn, 2n ** 64n - 1n]) {
      const counter = [0xffff_ffff, 7, 0x8000_0001] as const;
      const words = new KeyedWords(seed, counter);
      const key = [Number(seed & 0xffff_ffffn), Number(seed >> 32n)];
      const expected = [0, 1, 2].flatMap((block) => philoxTwin([block, ...counter], key));
      expect(expected.map(() => words.next())).toEqual(expected);
    }
  });

  test("a known answer of the paper's authors", () => {
    const words = new KeyedWords(0, [0, 0, 0]);
    const known = [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8];
    expect(known.map(() => words.next())).toEqual(known);
  });

  test("a draw below a bound takes no word above the last whole multiple", () => {
    // Three quarters of 2^32: the words above would make the first third twice as likely.
    const bound = 3 * 2 ** 30;
    const words = new KeyedWords(5, [0, 0, 0]);
    const counts = [0, 0, 0];
    for (let draw = 0; draw < 3000; draw++) {
      const third = Math.floor(words.below(bound) / 2 ** 30);
      counts[third] = (counts[third] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
    expect(new KeyedWords(5, [0, 0, 0]).below(1)).toBe(0);
  });
});
