import { describe, expect, test } from "bun:test";
import { checkTag, stepOfTag, tagOfFileName, withEnding } from "../../../src/checkpoint/file/tags.ts";
import { CairnError } from "../../../src/base/errors.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { BAD_TAGS } from "../bad_tags.ts";
import { errorOf, FaultStorage, memoryEngine } from "../fixtures.ts";

describe("tags", () => {
  test("a tag that could be anything but one file is refused before anything is touched", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage);
    for (const tag of BAD_TAGS) {
      const error = await errorOf(engine.create(tag as string)).catch((cause: unknown) => cause);
      // A symbol or null is not even a target; all the text and all the numbers are tags that cannot be.
      if (typeof tag === "string" || typeof tag === "number") {
        expect([tag, error]).toMatchObject([tag, { code: "invalid_tag" }]);
      } else expect(error).toBeInstanceOf(Error);
    }
    expect(storage.operations).toEqual([]);
  });

  test("the message says what was found and what a tag may be", () => {
    expect(() => checkTag("a/b")).toThrow(
      '"a/b" cannot be the tag of a checkpoint: a tag is 1 to 128 letters, digits, ".", "_" and "-", and begins and ends ' +
        "with a letter or digit",
    );
    expect(() => checkTag(-1)).toThrow(
      "-1 cannot be the tag of a checkpoint: a number has to be an integer from 0",
    );
  });

  test("names that people use are fine", () => {
    for (
      const tag of ["1", "step-100", "digits-01-0.1234", "global_step1000", "a", "x".repeat(128), "A.b_c-D9"]
    ) {
      expect(checkTag(tag)).toBe(tag);
    }
    expect(checkTag(100)).toBe("100");
    expect(checkTag("100.cairn")).toBe("100");
  });

  test("only files that a tag could have made are checkpoints", () => {
    expect(tagOfFileName("100.cairn")).toBe("100");
    for (const name of ["100", ".tmp-1.cairn", "latest.cairn", "a b.cairn", ".cairn", "100.cairn.bak"]) {
      expect(tagOfFileName(name)).toBeUndefined();
    }
  });

  test("a tag is a step when it is an integer as JavaScript writes it", () => {
    expect(stepOfTag("0")).toBe(0);
    expect(stepOfTag("1200")).toBe(1200);
    for (const tag of ["01", "1e3", "step-1", "1.5", "99999999999999999999"]) {
      expect(stepOfTag(tag)).toBeUndefined();
    }
  });

  test("tags that differ in case only would be one file on some systems, and are refused", async () => {
    const engine = await memoryEngine();
    await engine.create("Best");
    await engine.save({ state: { a: 1 } });
    await engine.commit("Best");
    const error = await errorOf(engine.create("best", { overwrite: true }));
    expect(error).toBeInstanceOf(CairnError);
    expect(error.code).toBe("already_exists");
    expect(error.message).toBe(
      'Cannot create checkpoint "best": "memory:Best.cairn" exists already; choose another tag',
    );
  });

  test("an ending fits behind every text, and texts that differ only at their end stay different", () => {
    expect(withEnding("step-7", "-v2")).toBe("step-7-v2");
    expect(withEnding("x".repeat(128))).toBe("x".repeat(128));
    const long = [1, 2].map((last) => withEnding(`${"x".repeat(127)}${last}`, "-v2"));
    for (const tag of long) {
      expect(tag).toMatch(/^x{116}-[0-9a-f]{8}-v2$/);
      expect(checkTag(tag)).toBe(tag);
    }
    expect(new Set(long).size).toBe(2);
  });
});
