import { describe, expect, test } from "bun:test";
import type { HostState } from "../../../src/checkpoint/capture/state_types.ts";
import {
  reduceOnPlateau,
  type ReduceOnPlateauOptions,
} from "../../../src/train/callbacks/reduce_on_plateau.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { FakeRun } from "./fixtures.ts";

/** The scale of the rates after each of these epochs. */
async function scales(run: FakeRun, losses: readonly number[]): Promise<number[]> {
  const after: number[] = [];
  for (const val_loss of losses) {
    await run.train({ val_loss });
    after.push(run.scale);
  }
  return after;
}

const run = (options: ReduceOnPlateauOptions) => new FakeRun(reduceOnPlateau(options));

describe("reduceOnPlateau", () => {
  test("multiplies the rates after each plateau", async () => {
    expect(await scales(run({ factor: 0.5, patience: 2 }), [3, 3, 3, 3, 3, 2, 3, 3, 1])).toEqual(
      [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125],
    );
  });

  test("epochs of the cooldown do not count", async () => {
    expect(await scales(run({ factor: 0.5, patience: 1, cooldown: 2 }), [3, 3, 3, 3, 3, 3, 3, 3])).toEqual(
      [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125],
    );
  });

  test("goes no lower than minScale", async () => {
    expect(await scales(run({ factor: 0.5, patience: 1, minScale: 0.2 }), [3, 3, 3, 3, 3])).toEqual(
      [1, 0.5, 0.25, 0.2, 0.2],
    );
  });

  test("goes on from its state wherever it is cut", async () => {
    const losses = [3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 1];
    const options = { factor: 0.5, patience: 2, cooldown: 1 };
    const whole = await scales(run(options), losses);
    expect(whole.at(-1)).toBe(0.25);
    for (let cut = 0; cut <= losses.length; cut++) {
      const first = reduceOnPlateau(options);
      const before = new FakeRun(first);
      const begun = await scales(before, losses.slice(0, cut));
      const second = reduceOnPlateau(options);
      await second.loadState?.(first.state?.() as HostState);
      const after = new FakeRun(second);
      after.scale = before.scale;
      expect([...begun, ...await scales(after, losses.slice(cut))]).toEqual(whole);
    }
  });

  test("refuses options that mean nothing", async () => {
    const wrong = [{ factor: 0 }, { factor: 1 }, { factor: NaN }, { cooldown: -1 }, { minScale: 2 }, {
      patience: 0,
    }];
    for (const options of wrong) {
      expect(await thrownBy(() => reduceOnPlateau(options))).toBeInstanceOf(RangeError);
    }
  });
});
