import { describe, expect, test } from "bun:test";
import { parseStrictJson } from "../../src/base/canonical_json.ts";
import { strictJsonEntries } from "../../src/base/json_entries.ts";
import { thrownBy } from "../helpers/thrown.ts";

function entries(text: string, naturalNumbersOnly = false): [string, unknown][] {
  return [...strictJsonEntries(text, "it", { naturalNumbersOnly })];
}

describe("strictJsonEntries", () => {
  test("gives the entries of an object in the order of the text, whatever its keys are", () => {
    expect(
      entries(
        ' { "b" : [ 1 , {"x":"]}\\"," } ] ,\n"10":null,"9":"" , "__proto__" :{} , "a\\u0062":-1.5e3}\t',
      ),
    )
      .toEqual([
        ["b", [1, { x: ']}",' }]],
        ["10", null],
        ["9", ""],
        ["__proto__", {}],
        ["ab", -1500],
      ]);
    for (const empty of ["{}", " {\n} "]) expect(entries(empty)).toEqual([]);
  });

  test("accepts and refuses what the whole text's parser does, with every character changed or left out", () => {
    const text = '{"a":[1,2],"b" : {"c":"\\n\\"}"},"d":-0.5,"e":null}';
    const outcomeOf = (parse: () => unknown): string => {
      try {
        return JSON.stringify(parse());
      } catch (error) {
        return String((error as { code?: string }).code ?? error);
      }
    };
    const marks = ["", '"', "{", "}", "[", "]", ",", ":", "\\", " ", "1", "\u0000", "\ud800", "true"];
    let accepted = 0;
    for (let at = 0; at < text.length; at++) {
      for (const mark of marks) {
        const changed = text.slice(0, at) + mark + text.slice(at + 1);
        const whole = outcomeOf(() => parseStrictJson(changed, "it"));
        const oneByOne = outcomeOf(() => Object.fromEntries(entries(changed)));
        expect([changed, oneByOne]).toEqual([changed, whole]);
        if (whole !== "invalid_file") accepted++;
      }
    }
    expect(accepted).toBeGreaterThan(50);
  });

  const refused: [text: string, message: RegExp][] = [
    ["[]", /is no object/],
    ["", /is no object/],
    ['{"a":1', /ends too early/],
    ['{"a":1}x', /something follows it at character 7/],
    ['{"a":1,}', /no key at character 7/],
    ['{"a" 1}', /no colon at character 5/],
    ['{"a":}', /not JSON/],
    ['{"a":1,"\\u0061":2}', /the key "a" twice/],
    ['{"a":{"b":1,"b":2}}', /the key "b" twice/],
    [`{"a":${"[".repeat(2000)}`, /deeper than 1000/],
    ['{"a":-1}', /number -1 where only integers/],
  ];
  for (const [text, message] of refused) {
    test(`refuses ${text.slice(0, 30)}`, async () => {
      const error = await thrownBy(() => entries(text, true));
      expect([error.name, error.code]).toEqual(["CairnError", "invalid_file"]);
      expect(error.message).toMatch(message);
    });
  }
});
