import { describe, expect, test } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import type { HostState } from "../../../src/checkpoint/capture/state_types.ts";
import { AutoSaver } from "../../../src/train/saves/auto_saver.ts";
import { fromStateTree, toStateTree, type TrainingState } from "../../../src/train/loop/training_state.ts";

const STATE: TrainingState = {
  step: 70,
  epoch: 2,
  loader: { epoch: 2, position: 6 },
  batchesPerEpoch: 32,
  batchSize: 8,
  seed: 7n,
  orderVersion: 2,
  optimizer: "adamw",
  history: {
    loss: new Float32Array([3, 2, 1]),
    epochs: [{ epoch: 1, step: 32, metrics: { loss: NaN, val_loss: 1 } }],
  },
  walltime: 1.5,
  autoSaver: new AutoSaver({ interval: 1, savePath: "secret/place" }).stateDict(),
};

function errorOf(work: () => unknown): CairnError {
  try {
    work();
  } catch (error) {
    if (error instanceof CairnError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("TrainingState", () => {
  test("comes back from its tree, NaN metrics and all", () => {
    expect(fromStateTree(toStateTree(STATE) as HostState, "t")).toEqual(
      { trainer: 1, ...STATE } as TrainingState,
    );
  });

  test("a state from before orders had versions has the first one", () => {
    const { orderVersion: _, ...older } = toStateTree(STATE) as Record<string, unknown>;
    expect(fromStateTree(older as HostState, "t").orderVersion).toBe(1);
  });

  test("a data order of an unknown version is refused by name", () => {
    for (const version of [0, 3]) {
      const tree = toStateTree({ ...STATE, orderVersion: version }) as HostState;
      const error = errorOf(() => fromStateTree(tree, "step-70"));
      expect(error.code).toBe("state_mismatch");
      expect(error.message).toContain(
        `its data is in an order of version ${version}, and this Cairn knows 1 and 2`,
      );
    }
  });

  test("holds no path", () => {
    const { history: _, ...rest } = toStateTree({ ...STATE, seed: 7 }) as Record<string, unknown>;
    expect(JSON.stringify(rest)).not.toContain("secret");
  });

  test("a state that no trainer wrote is refused with the place", () => {
    const broken = { ...toStateTree(STATE) as Record<string, unknown>, step: -1 } as HostState;
    const error = errorOf(() => fromStateTree(broken, "step-70"));
    expect(error.code).toBe("state_mismatch");
    expect(error.message).toContain(
      'Cannot resume from "step-70": "step" of its state is not what a trainer writes',
    );
    for (const tree of [undefined, null, 5, {}, [], { trainer: 2 }] as HostState[]) {
      expect(errorOf(() => fromStateTree(tree, "t")).code).toBe("state_mismatch");
    }
  });
});
