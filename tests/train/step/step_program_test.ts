import { describe, expect } from "bun:test";
import { adamw } from "../../../src/nn/optim/optim.ts";
import type { Optimizer, UpdateRule } from "../../../src/nn/optim/optimizer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { smallRun, withTrainer } from "../fixtures.ts";

function withoutVerdict({ update }: UpdateRule): UpdateRule["update"] {
  return (bindings, elements) =>
    update(bindings, elements).map((dispatch) =>
      "values" in dispatch ? dispatch : {
        ...dispatch,
        bindings: dispatch.bindings.map((each) => each === bindings.verdict ? bindings.scalars : each),
      }
    );
}

describe("the program of a step", () => {
  gpuTest("refuses the update of an optimizer that does not bind the verdict", async (gpu) => {
    const inner = adamw({ learningRate: 0.01 });
    const ungated: Optimizer = {
      ...inner,
      name: "mine",
      rulesFor: (parameters) =>
        inner.rulesFor(parameters).map((rule) => rule && { ...rule, update: withoutVerdict(rule) }),
    };
    await withTrainer(gpu, smallRun({ optimizer: ungated }), async ({ trainer }) => {
      const error = await thrownBy(() => trainer.train({ epochs: 1, progress: false }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain('The update of the optimizer "mine" does not bind the verdict');
    });
  });
});
