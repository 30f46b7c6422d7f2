import { expect, test } from "bun:test";
import { nodeBuiltin } from "../../src/base/node_builtin.ts";
import { withoutBuiltins } from "../container/samples.ts";

test("a built-in module is found in this runtime, and is undefined where there is none", () => {
  expect(typeof nodeBuiltin("node:zlib")?.crc32).toBe("function");
  expect(withoutBuiltins(() => nodeBuiltin("node:zlib"))).toBeUndefined();
});
