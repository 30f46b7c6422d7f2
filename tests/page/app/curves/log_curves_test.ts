import { expect, test } from "bun:test";
import { JSONL_FORMAT } from "../../../../src/train/log/jsonl_format.ts";
import type { CallbackRun } from "../../../../src/train/callbacks/callback.ts";
import type { LogEntry } from "../../../../src/train/log/log_entry.ts";
import { LogCurves } from "../../../../src/page/app/curves/log_curves.ts";
import { measuresOf } from "../../../../src/page/app/curves/run_curves.ts";

function read(...texts: string[]) {
  const log = new LogCurves();
  for (const text of texts) log.add(text);
  return log.curves("run", "run.jsonl");
}

test("the lines that jsonlLog writes are read as what they say", () => {
  const entries: LogEntry[] = [
    { kind: "start", step: 0, resumedFrom: "", totalSteps: 2, totalEpochs: 1, timeMs: 1 },
    { kind: "step", step: 1, loss: Math.fround(0.1), rate: 0.5, terms: { gradient_norm: 2 } },
    { kind: "step", step: 2, loss: NaN, rate: undefined, terms: {} },
    { kind: "epoch", step: 2, epoch: 1, metrics: { loss: 9, val_loss: NaN, val_accuracy: 0.5 } },
    { kind: "save", step: 2, tag: "2", stallMs: 1, durationMs: 2, bytes: 3, timeMs: 4 },
    { kind: "end", step: 2, endedBy: "end", timeMs: 5 },
    { kind: "start", step: 2, resumedFrom: "2", totalSteps: 4, totalEpochs: 2, timeMs: 6 },
  ];
  // What the lines say is all in the entries.
  const run = {} as CallbackRun;
  const { series, marks, badLines } = read(...entries.map((entry) => `${JSONL_FORMAT.line(entry, run)}\n`));
  expect(badLines).toBe(0);
  expect([...series].map(([name, points]) => `${name} ${points.map(({ value }) => value)}`).sort()).toEqual([
    "gradient_norm 2",
    "loss 0.1,NaN",
    "rate 0.5",
    "val_accuracy 0.5",
    "val_loss NaN",
  ]);
  expect(marks.map(({ kind, step }) => `${kind} ${step}`)).toEqual([
    "start 0",
    "save 2",
    "end 2",
    "resume 2",
  ]);
});

test("each number beside the step is a measure, those of objects in it too", () => {
  const { series } = read(
    '{"step":1,"epoch":1,"timeMs":5,"loss":2,"metrics":{"val_loss":3,"deep":{"no":1}},"note":"x"}\n',
  );
  expect([...series]).toEqual([["loss", [{ step: 1, value: 2 }]], ["val_loss", [{ step: 1, value: 3 }]]]);
});

test("a line is read when it is whole, wherever the text is cut", () => {
  const text = '{"step":1,"loss":2}\r\n{"step":2,"loss":1}\n{"step":3,"lo';
  for (let cut = 0; cut <= text.length; cut++) {
    const { series, badLines } = read(text.slice(0, cut), text.slice(cut));
    expect([series.get("loss")?.length, badLines]).toEqual([2, 0]);
  }
});

test("what a number cannot be in JSON is NaN or infinite, and a gap", () => {
  const { series } = read(
    '{"step":1,"loss":null}\n{"step":2,"loss":"NaN"}\n{"step":3,"loss":"-Infinity"}\n{"step":4,"loss":"x"}\n',
  );
  expect(series.get("loss")?.map(({ value }) => value)).toEqual([NaN, NaN, -Infinity]);
});

test("a run that goes back forgets what it measured from there on", () => {
  const lines = [1, 2, 3, 4, 3, 4].map((step, index) => `{"step":${step},"loss":${index}}\n`);
  expect(read(...lines).series.get("loss")).toEqual([
    { step: 1, value: 0 },
    { step: 2, value: 1 },
    { step: 3, value: 4 },
    { step: 4, value: 5 },
  ]);
  const resumed = read(
    '{"step":1,"loss":1}\n{"step":2,"loss":2}\n{"kind":"start","step":1,"resumedFrom":"one"}\n',
  );
  expect(resumed.series.get("loss")).toEqual([{ step: 1, value: 1 }]);
});

test("what steps have is theirs, also where epochs measure something of the same name", () => {
  const { series } = read(
    '{"kind":"step","step":1,"loss":4,"rate":0.1,"terms":{"mse":3}}\n',
    '{"kind":"epoch","step":2,"epoch":1,"metrics":{"loss":9,"val_loss":5}}\n{"kind":"step","step":2,"loss":2}\n',
    '{"kind":"validation","step":3,"epoch":2,"metrics":{"val_loss":1}}\n',
  );
  expect(Object.fromEntries([...series].map(([name, points]) => [name, points.map(({ value }) => value)])))
    .toEqual({
      loss: [4, 2],
      rate: [0.1],
      mse: [3],
      val_loss: [5, 1],
    });
});

test("saves, ends and resumes are marks, and what they measure is no curve", () => {
  const { marks, series } = read(
    '{"kind":"start","step":0,"resumedFrom":"","totalSteps":9}\n{"kind":"save","step":5,"stallMs":3}\n',
    '{"kind":"end","step":6,"endedBy":"error"}\n{"kind":"start","step":5,"resumedFrom":"5"}\n',
  );
  expect(marks.map(({ step, kind }) => `${kind} ${step}`)).toEqual(["start 0", "save 5", "resume 5"]);
  expect([...series]).toEqual([]);
});

test("lines that are no objects are counted, and the others read", () => {
  const { series, badLines } = read(
    'garbage\n{"step":1,"loss":1}\n[1]\n{"step":1,"step":2}\n\n{"step":"1"}\n{"__proto__":{"loss":1},"step":2}\n',
  );
  expect([badLines, series.get("loss")?.length]).toEqual([3, 2]);
});

test("measures of training and validation are one picture, the loss first", () => {
  const runs = [
    read('{"step":1,"val_accuracy":1,"rate":1}\n'),
    read('{"step":1,"val_loss":1,"loss":1,"accuracy":1}\n'),
  ];
  expect(measuresOf(runs)).toEqual([
    { name: "loss", series: ["loss", "val_loss"] },
    { name: "accuracy", series: ["accuracy", "val_accuracy"] },
    { name: "rate", series: ["rate"] },
  ]);
});
