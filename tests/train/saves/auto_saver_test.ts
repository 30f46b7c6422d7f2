import { describe, expect, test } from "bun:test";
import { directionOf } from "../../../src/checkpoint/keep/retention/metric_direction.ts";
import type { BestSave } from "../../../src/train/loop/auto_saver_state.ts";
import type { AutoSaveOptions } from "../../../src/train/saves/auto_save_options.ts";
import { AutoSaver } from "../../../src/train/saves/auto_saver.ts";

const FIELDS = ["epoch", "step", "loss", "val_loss", "val_accuracy", "val_f1"];

function epochsSaved(options: AutoSaveOptions, total: number): number[] {
  const saver = new AutoSaver(options, FIELDS);
  return Array.from({ length: total }, (_, index) => index + 1).filter((epoch) =>
    saver.isDueAfterEpoch(epoch, total)
  );
}

describe("AutoSaver", () => {
  test("an unknown setting is refused, since a typo would save nothing", () => {
    const typo = { everyStep: 5 } as object;
    expect(() => new AutoSaver(typo)).toThrow(
      'autoSave() has no option "everyStep"; did you mean "everySteps"?',
    );
    const heard: string[] = [];
    new AutoSaver().configureLeniently({ ...typo, interval: 1 }, (message) => heard.push(message));
    expect(heard).toEqual([expect.stringContaining('has no option "everyStep"')]);
  });

  test("NN-01 the defaults", () => {
    const { settings, lastSavedTag, isEnabled } = new AutoSaver();
    expect(settings.interval).toBe(null);
    expect(settings.savePath).toBe(".");
    expect(settings.name.source).toBe("model_epoch{epoch:02d}");
    expect(settings.overwrite).toBe(false);
    expect(lastSavedTag).toBe(null);
    expect(isEnabled).toBe(false);
  });

  test("NN-02 interval: null and 0 disable, -1 is the last epoch, N is every N epochs, the rest is refused", () => {
    expect(epochsSaved({ interval: null }, 6)).toEqual([]);
    expect(epochsSaved({ interval: 0 }, 6)).toEqual([]);
    expect(epochsSaved({ interval: -1 }, 6)).toEqual([6]);
    expect(epochsSaved({ interval: 2 }, 6)).toEqual([2, 4, 6]);
    expect(new AutoSaver({ interval: 0 }).settings.interval).toBe(null);
    expect(() => new AutoSaver({ interval: -2 })).toThrow(RangeError);
    expect(() => new AutoSaver({ interval: -2 })).toThrow("found -2");
    for (const interval of ["2", 1.5, NaN, true]) {
      expect(() => new AutoSaver({ interval: interval as number })).toThrow(TypeError);
    }
  });

  test("NN-03 savePath: a path or a URL, null disables, the rest is refused", () => {
    expect(epochsSaved({ interval: 1, savePath: null }, 3)).toEqual([]);
    expect(new AutoSaver({ everySteps: 1, savePath: null }).isDueAfterStep(1, 0)).toBe(false);
    expect(new AutoSaver({ savePath: new URL("file:///a/") }).settings.savePath).toEqual(
      new URL("file:///a/"),
    );
    expect(() => new AutoSaver({ savePath: 3 as unknown as string })).toThrow(TypeError);
    expect(() => new AutoSaver({ savePath: "" })).toThrow(RangeError);
  });

  test("NN-04 name is a string and overwrite is a boolean", () => {
    expect(() => new AutoSaver({ name: 5 as unknown as string })).toThrow(TypeError);
    expect(() => new AutoSaver({ overwrite: 1 as unknown as boolean })).toThrow(
      "overwrite is true or false, found 1",
    );
  });

  test("NN-05 configuring sets every setting at once", () => {
    const saver = new AutoSaver({}, FIELDS);
    saver.configure({ interval: 2, savePath: "runs", name: "m{epoch:02d}", overwrite: true });
    expect(saver.settings.interval).toBe(2);
    expect(saver.settings.savePath).toBe("runs");
    expect(saver.settings.name.source).toBe("m{epoch:02d}");
    expect(saver.settings.overwrite).toBe(true);
  });

  test("NN-05 after a refused setting none has changed", () => {
    const saver = new AutoSaver({ interval: 3 }, FIELDS);
    expect(() => saver.configure({ interval: 1, savePath: 1 as unknown as string })).toThrow(TypeError);
    expect(saver.settings.interval).toBe(3);
  });

  test("NN-05 leniently, a wrong setting becomes a warning and the others are set", () => {
    const saver = new AutoSaver({}, FIELDS);
    const warnings: string[] = [];
    saver.configureLeniently(
      { interval: "x" as unknown as number, savePath: "runs" },
      (text) => warnings.push(text),
    );
    expect(saver.settings.interval).toBe(null);
    expect(saver.settings.savePath).toBe("runs");
    expect(warnings).toEqual([
      "Automatic saving: interval is unchanged. interval is an integer number of epochs or null, found string",
      "Automatic saving is disabled",
    ]);
  });

  test("NN-06 saves after the last epoch unless told not to, and never when disabled", () => {
    expect(epochsSaved({ interval: 4 }, 6)).toEqual([4, 6]);
    expect(epochsSaved({ interval: 4, saveOnLastEpoch: false }, 6)).toEqual([4]);
    expect(epochsSaved({ interval: -1, saveOnLastEpoch: false }, 6)).toEqual([6]);
    expect(epochsSaved({ interval: null, saveOnLastEpoch: true }, 6)).toEqual([]);
    expect(epochsSaved({ interval: 10 }, 6)).toEqual([6]);
  });

  test("NN-07 a name with a field that the run never has is refused when it is configured", () => {
    expect(() => new AutoSaver({ name: "m{val_loss}" }, ["epoch", "step", "loss"])).toThrow(
      "known fields are epoch, step, loss",
    );
    expect(() => new AutoSaver({ stepName: "m{nothing}" }, FIELDS)).toThrow('"nothing"');
  });

  test("NN-10 of a saved state the counter and the best are taken, and every setting stays the script's", () => {
    const saver = new AutoSaver({ interval: 3, everySteps: 7, keep: { last: 2, best: "val_loss" } }, FIELDS);
    saver.onSaved("m1", 7, { val_loss: 2 });
    saver.onSaved("m2", 14, { val_loss: 1 });
    saver.onSaved("m3", 21, { val_loss: NaN });
    saver.onSaved("m4", 28, {});
    const best = { metric: "val_loss", direction: "min" as const, value: 1, step: 14 };
    expect(saver.stateDict()).toMatchObject({ interval: 3, lastSavedTag: "m4", saves: 4, best });
    const other = new AutoSaver({ savePath: "elsewhere", keep: { best: "val_loss" } }, FIELDS);
    const { settings } = other;
    other.loadStateDict({
      ...saver.stateDict(),
      savePath: "/etc",
      overwrite: true,
      onDiskFull: "evictOldest",
      exclusive: true,
      keep: { last: 1 },
      keepLast: 1,
    });
    expect(other.settings).toEqual(settings);
    expect([other.saves, other.best, other.lastSavedTag]).toEqual([4, best, null]);
    other.onSaved("n1", 35, { val_loss: 1.5 });
    expect([other.saves, other.best]).toEqual([5, best]);
  });

  test("NN-10 invalid values of a state are ignored, and throw nothing", () => {
    const saver = new AutoSaver({ keep: { best: "val_loss" } }, FIELDS);
    const right = { metric: "val_loss", direction: "min", value: 1, step: 2 };
    const states: unknown[] = [
      undefined,
      null,
      5,
      "saves",
      [],
      {},
      { saves: -1 },
      { saves: 1.5 },
      { saves: "3" },
      { saves: 2 ** 60 },
      { best: 1 },
      ...[{ metric: "loss" }, { direction: "max" }, { value: NaN }, { value: "1" }, { step: -1 }, {
        step: null,
      }]
        .map((wrong) => ({ best: { ...right, ...wrong } })),
    ];
    for (const state of states) {
      saver.loadStateDict(state);
      expect([saver.saves, saver.best]).toEqual([0, null]);
    }
    saver.loadStateDict({ saves: 3, best: { ...right, extra: "x" } });
    expect([saver.saves, saver.best]).toEqual([3, right as BestSave]);
    new AutoSaver().loadStateDict({ best: right });
  });

  test("TW-17 saves on multiples of everySteps, and never right after a restore", () => {
    const saver = new AutoSaver({ everySteps: 10 });
    const due = (start: number): number[] =>
      Array.from({ length: 41 }, (_, step) => step).filter((step) => saver.isDueAfterStep(step, start));
    expect(due(0)).toEqual([10, 20, 30, 40]);
    expect(due(20)).toEqual([30, 40]);
    expect(due(25)).toEqual([30, 40]);
    expect(() => new AutoSaver({ everySteps: -1 })).toThrow(RangeError);
    expect(() => new AutoSaver({ everySteps: 2.5 })).toThrow(TypeError);
    expect(new AutoSaver({ everySteps: 0 }).isDueAfterStep(10, 0)).toBe(false);
  });

  test("the direction of the best metric is known from its name or has to be given", () => {
    expect(directionOf("val_loss")).toBe("min");
    expect(directionOf("error")).toBe("min");
    expect(directionOf("val_accuracy")).toBe("max");
    expect(directionOf("val_f1")).toBe(undefined);
    const keep = (best: unknown): unknown =>
      new AutoSaver({ keep: { last: 3, best: best as string } }, FIELDS).settings.keep;
    expect(keep("val_loss")).toEqual({ last: 3, best: { metric: "val_loss", direction: "min" } });
    expect(keep({ metric: "val_f1", direction: "max" })).toEqual({
      last: 3,
      best: { metric: "val_f1", direction: "max" },
    });
    expect(() => keep("val_f1")).toThrow('{ metric: "val_f1", direction: "max" }');
    expect(() => keep({ metric: "val_f1", direction: "up" })).toThrow(RangeError);
    expect(() => keep("val_nothing")).toThrow("never measures");
    expect(() => new AutoSaver({ keep: { last: 0 } })).toThrow("keep.last is an integer from 1, found 0");
  });
});
