import { expect, test } from "bun:test";
import { historyCurves } from "../../../../src/page/app/curves/history_curves.ts";

const history = {
  loss: Float32Array.of(4, 3, 2),
  columns: { gradient_norm: Float32Array.of(1, 2, 3), "mse.weight": Float32Array.of(1, 1, 1) },
  epochs: [{ epoch: 1, step: 3, metrics: { loss: 3, val_loss: 5 } }],
  validations: [{ epoch: 1, step: 2, metrics: { val_loss: 6 } }],
};

test("the losses of steps, what else is kept of them, and what epochs measured are curves", () => {
  const { series } = historyCurves({ history }, "run", "a.cairn") ?? { series: new Map() };
  expect([...series.keys()]).toEqual(["loss", "gradient_norm", "val_loss"]);
  expect(series.get("loss")).toEqual([{ step: 1, value: 4 }, { step: 2, value: 3 }, { step: 3, value: 2 }]);
  expect(series.get("val_loss")).toEqual([{ step: 2, value: 6 }, { step: 3, value: 5 }]);
});

test("a state that no trainer wrote has none", () => {
  const states = [undefined, null, 3, [], new Map(), {}, { history: [] }, { history: { loss: [1] } }, {
    history: { epochs: [{ step: "x" }] },
  }];
  for (const state of states) expect(historyCurves(state, "run", "a.cairn")).toBeUndefined();
});
