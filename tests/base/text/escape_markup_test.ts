import { expect, test } from "bun:test";
import { escapeMarkup } from "../../../src/base/text/escape_markup.ts";

test("escapeMarkup leaves nothing that is markup, nor what XML has no character for", () => {
  expect(escapeMarkup(`<a b="c" d='e'>&amp;\n\t\u0000\u001b\uffff\ud800é😀`)).toBe(
    "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;amp;\n\t\ufffd\ufffd\ufffd\ufffdé😀",
  );
});
