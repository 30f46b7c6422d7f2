import { describe, expect, test } from "bun:test";
import { TrainingHistory } from "../../../src/train/loop/history.ts";
import { plot } from "../../../src/train/show/plot.ts";
import { axisOf, curvesOf } from "../../../src/train/show/curves.ts";
import { displayed, shown } from "../../helpers/shown.ts";
import { thrownBy } from "../../helpers/thrown.ts";

const HISTORY = {
  loss: [1, 0.5, NaN, 0.25],
  epochs: [
    { epoch: 1, step: 2, metrics: { loss: 0.75, val_loss: 0.8, val_accuracy: 0.5 } },
    { epoch: 2, step: 4, metrics: { loss: 0.4, val_loss: 0.5, val_accuracy: NaN } },
  ],
  validations: [{ epoch: 2, step: 3, metrics: { val_loss: 0.6 } }],
};

/** The elements of a picture: their names, attributes and text. Throws for what is no well-formed XML. */
function elementsOf(svg: string): { name: string; attributes: Record<string, string>; text: string }[] {
  const open: string[] = [];
  const elements: { name: string; attributes: Record<string, string>; text: string }[] = [];
  let at = 0;
  for (const found of svg.matchAll(/<(\/?)([a-z]+)((?: [a-zA-Z0-9-]+="[^"<>]*")*)(\/?)>([^<>]*)/g)) {
    const [whole, isEnd, name = "", attributes = "", isEmpty, text = ""] = found;
    if (found.index !== at) throw new Error(`no markup: ${svg.slice(at, found.index)}`);
    at += whole.length;
    if (/&(?!(amp|lt|gt|quot|#39);)/.test(text + attributes)) throw new Error(`a bare ampersand in ${whole}`);
    if (isEnd === "/") {
      if (open.pop() !== name) throw new Error(`${name} ends where it did not begin`);
      continue;
    }
    if (isEmpty !== "/") open.push(name);
    const pairs = [...attributes.matchAll(/ ([a-zA-Z0-9-]+)="([^"]*)"/g)].map((
      [, key = "", value = ""],
    ) => [key, value]);
    elements.push({ name, attributes: Object.fromEntries(pairs), text });
  }
  if (at !== svg.length || open.length > 0) throw new Error(`it ends with ${svg.slice(at)}`);
  return elements;
}

describe("plot", () => {
  test("draws losses together and every other metric below, each with a name", () => {
    const elements = elementsOf(plot(HISTORY, { title: "a run" }));
    const texts = elements.filter(({ name }) => name === "text").map(({ text }) => text);
    expect(texts).toEqual(
      expect.arrayContaining(["a run", "loss of a step", "loss", "val_loss", "val_accuracy", "step"]),
    );
    const lines = elements.filter(({ name }) => name === "polyline").map(({ attributes }) =>
      attributes.points ?? ""
    );
    expect(lines.map((points) => points.split(" ").length)).toEqual([3, 2, 3, 1]);
    const [first] = elements;
    expect([first?.name, first?.attributes.height]).toEqual(["svg", String(24 + 2 * 240)]);
  });

  test("has every point in its place, within the picture", () => {
    for (const width of [100, 640]) {
      const elements = elementsOf(plot(HISTORY, { width, height: 100 }));
      const points = elements.filter(({ name }) => name === "polyline").flatMap(({ attributes }) =>
        (attributes.points ?? "").split(" ").map((point) => point.split(",").map(Number))
      );
      expect(points.length).toBe(9);
      for (const [x = NaN, y = NaN] of points) {
        expect([x >= 0 && x <= width, y >= 0 && y <= 200]).toEqual([true, true]);
      }
      // Of the losses the first is the highest and the last the farthest.
      const [first, , third] = points;
      expect([(first?.[0] ?? NaN) < (third?.[0] ?? NaN), (first?.[1] ?? NaN) < (third?.[1] ?? NaN)]).toEqual([
        true,
        true,
      ]);
    }
  });

  test("text of a run is text, whatever it says", () => {
    const evil = `</text><script>alert("1")</script>&amp;'\u0000\ud800`;
    const history = { loss: [1], epochs: [{ epoch: 1, step: 1, metrics: { [evil]: 1 } }] };
    const svg = plot(history, { title: evil });
    const elements = elementsOf(svg);
    expect(elements.some(({ name }) => name === "script")).toBe(false);
    const escaped =
      "&lt;/text&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;&#39;\ufffd\ufffd";
    expect(elements.filter(({ text }) => text === escaped)).toHaveLength(2);
  });

  test("a history with nothing in it, or nothing finite, is a picture that says so", () => {
    for (const history of [{ loss: [], epochs: [] }, { loss: [NaN, Infinity], epochs: [] }]) {
      const texts = elementsOf(plot(history)).map(({ text }) => text);
      expect(texts).toContain("nothing was measured yet");
      expect(plot(history)).not.toContain("NaN");
    }
    expect(plot({ loss: [3, 3, 3], epochs: [] })).not.toContain("NaN");
  });

  test("a long run keeps its peaks in a picture of bounded size", () => {
    const loss = Float32Array.from({ length: 1_000_000 }, (_, step) => step === 777_777 ? 9 : Math.cos(step));
    const [[curve] = []] = curvesOf({ loss, epochs: [] }, 500);
    expect(curve?.points.length).toBeLessThanOrEqual(1000);
    expect(curve?.points).toContainEqual([777_778, 9]);
    const steps = curve?.points.map(([step]) => step) ?? [];
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(plot({ loss, epochs: [] }).length).toBeLessThan(30_000);
  });

  test("axes have marks at round numbers, also of one value", () => {
    expect(axisOf([0, 1]).marks).toEqual([0, 0.5, 1]);
    expect(axisOf([-3, 12]).marks).toEqual([0, 5, 10]);
    expect(axisOf([7]).marks.length).toBeGreaterThan(1);
    expect(axisOf([]).marks.length).toBeGreaterThan(1);
  });

  test("refuses a size that is none", async () => {
    for (const wrong of [{ width: 99 }, { height: NaN }, { width: Infinity }]) {
      expect(await thrownBy(() => plot(HISTORY, wrong))).toBeInstanceOf(RangeError);
    }
  });
});

describe("a history", () => {
  const history = new TrainingHistory();
  history.write(0, Float32Array.of(1, 0.5, 0.25));
  history.addEpoch({ epoch: 1, step: 2, metrics: { loss: 0.75, val_loss: 0.00001 } });

  test("console.log shows how far it is, and its epochs as a table", () => {
    expect(shown(history).split("\n")).toEqual([
      "TrainingHistory: losses of 3 steps, the last one 0.2500; 1 epoch",
      "epoch  step  loss    val_loss",
      "    1     2  0.7500  1.00e-5",
    ]);
    expect(shown(new TrainingHistory())).toBe("TrainingHistory: losses of 0 steps; 0 epochs");
    expect(shown(TrainingHistory.prototype)).toContain("TrainingHistory");
    const long = new TrainingHistory();
    for (let epoch = 1; epoch <= 20; epoch++) long.addEpoch({ epoch, step: epoch, metrics: { "a\n": 1 } });
    expect(shown(long).split("\n")).toHaveLength(15);
    expect(shown(long).endsWith("and 8 epochs before")).toBe(true);
  });

  test("shows its curves in a notebook", () => {
    const forms = displayed(history);
    expect(Object.keys(forms).sort()).toEqual(["image/svg+xml", "text/html", "text/plain"]);
    expect(forms["image/svg+xml"]).toBe(plot(history));
    expect(forms["text/plain"]).toBe(shown(history));
    expect(forms["text/html"]?.startsWith("<pre>TrainingHistory: losses of 3 steps")).toBe(true);
  });
});
