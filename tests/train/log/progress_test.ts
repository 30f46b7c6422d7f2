import { describe, expect, test } from "bun:test";
import { terminalProgress } from "../../../src/train/log/progress.ts";
import type {
  Callback,
  CallbackEvent,
  CallbackRun,
  EndEvent,
} from "../../../src/train/callbacks/callback.ts";
import type { TrainingProgress } from "../../../src/train/callbacks/training_progress.ts";
import type { SaveRecord } from "../../../src/train/saves/scheduled_saves.ts";
import { FakeTerminal } from "../../helpers/fake_terminal.ts";

function at(step: number, others: Partial<TrainingProgress> = {}): TrainingProgress {
  const epoch = 1 + Math.floor(Math.max(0, step - 1) / 50);
  return {
    step,
    totalSteps: 100,
    epoch,
    totalEpochs: 2,
    examples: 8 * step,
    loss: 0.5,
    metrics: {},
    saves: 0,
    ...others,
  };
}

/** A run that only says where it stands. */
function runAt(progress: TrainingProgress): CallbackRun {
  return { progress } as CallbackRun;
}

/** A progress that is told of a run's events. */
function driven(callback: Callback) {
  const eventOf = (progress: TrainingProgress): CallbackEvent => ({
    run: runAt(progress),
    stop: () => {},
    warn: () => {},
  });
  return {
    compile: (done: number, total: number) => callback.onCompile?.({ done, total }),
    start: (progress: TrainingProgress) =>
      void callback.onStart?.({ ...eventOf(progress), resumedFrom: undefined }),
    step: (progress: TrainingProgress) => callback.onStep?.(eventOf(progress)),
    epoch: (progress: TrainingProgress) =>
      void callback.onEpoch?.({ ...eventOf(progress), ...progress, metrics: progress.metrics }),
    saving: (progress: TrainingProgress) => callback.onSaving?.(eventOf(progress)),
    saved: (progress: TrainingProgress) =>
      void callback.onSave?.({ ...eventOf(progress), ...({} as SaveRecord) }),
    warning: (message: string) => callback.onWarning?.(message),
    end: (progress: TrainingProgress, endedBy: EndEvent["endedBy"]) =>
      void callback.onEnd?.({ ...eventOf(progress), endedBy }),
  };
}

/** A reporter that writes lines, and what it wrote. */
function logFile(lineIntervalMs: number) {
  const file = { text: "", now: 0 };
  const stream = { write: (part: string) => file.text += part };
  const reporter = driven(terminalProgress({ stream, lineIntervalMs, now: () => file.now }));
  return { file, reporter, linesOf: () => file.text.split("\n") };
}

/** A reporter that draws a bar, and what a person sees. */
function bar(columns?: number) {
  const terminal = new FakeTerminal(columns);
  const clock = { now: 0 };
  return { terminal, clock, reporter: driven(terminalProgress({ stream: terminal, now: () => clock.now })) };
}

describe("terminalProgress in a log file", () => {
  test("writes a line now and then, however fast steps and epochs are, and a summary", () => {
    const { file, reporter, linesOf } = logFile(1000);
    reporter.start(at(0));
    for (let step = 1; step <= 100; step++) {
      file.now += 30;
      reporter.step(at(step));
      if (step % 50 === 0) reporter.epoch(at(step, { metrics: { loss: 0.4, val_loss: 0.25 } }));
    }
    reporter.end(at(100, { metrics: { loss: 0.4, val_loss: 0.25 }, saves: 2 }), "end");
    expect(linesOf()).toEqual([
      "epoch 1/2, step 34/100, 0:02 left, loss 0.5000, 267 examples/s",
      "epoch 2/2, step 68/100, 0:01 left, loss 0.5000, 267 examples/s",
      "done: epoch 2/2, step 100/100 in 0:03 (267 examples/s), loss 0.4000, val_loss 0.2500, 2 checkpoints saved",
      "",
    ]);
  });

  test("writes every warning, whatever the time", () => {
    const { reporter, linesOf } = logFile(1000);
    reporter.start(at(0));
    reporter.warning("the disk is slow");
    reporter.warning("the disk is full");
    expect(linesOf()).toEqual(["warning: the disk is slow", "warning: the disk is full", ""]);
  });

  test("TR-07 says how many kernels are compiled before the first step: in a line now and then", () => {
    const { file, reporter, linesOf } = logFile(1000);
    for (let done = 0; done <= 8; done++) {
      reporter.compile(done, 8);
      file.now += 400;
    }
    expect(linesOf()).toEqual([
      "compiling kernels 0/8",
      "compiling kernels 3/8",
      "compiling kernels 6/8",
      "",
    ]);
  });

  test("says how a run ended that did not reach its end", () => {
    const ends = (["stop", "SIGINT", "error"] as const).map((how) => {
      const { file, reporter } = logFile(1000);
      reporter.start(at(0));
      file.now = 200_000;
      reporter.step(at(1, { examples: 8 }));
      reporter.end(at(1, { loss: undefined, saves: 1 }), how);
      return file.text.split("\n").at(-2);
    });
    const rest = "epoch 1/2, step 1/100 in 3:20 (0 examples/s), 1 checkpoint saved";
    expect(ends).toEqual([`stopped: ${rest}`, `ended by SIGINT: ${rest}`, `failed: ${rest}`]);
  });
});

describe("terminalProgress in a terminal", () => {
  test("draws one bar for the whole run, and leaves one line", () => {
    const { terminal, clock, reporter } = bar();
    reporter.start(at(0, { loss: undefined }));
    for (let step = 1; step <= 100; step++) {
      clock.now += 250;
      reporter.step(at(step));
      if (step % 50 === 0) reporter.epoch(at(step, { metrics: { val_loss: 0.25 } }));
    }
    const end = at(100, { metrics: { loss: 0.5, val_loss: 0.25 } });
    reporter.end(end, "end");
    expect(terminal.drawn.slice(0, 2)).toEqual([
      "epoch 1/2 ░░░░░░░░░░░░░░░░░░░░ step 0/100",
      "epoch 1/2 ░░░░░░░░░░░░░░░░░░░░ step 1/100 | 0:25 left | loss 0.5000 | 32 examples/s",
    ]);
    expect(terminal.drawn).toContain(
      "epoch 1/2 ██████████░░░░░░░░░░ step 50/100 | 0:13 left | loss 0.5000 | val_loss 0.2500 | 32 examples/s",
    );
    expect(terminal.lines).toEqual([
      "done: epoch 2/2, step 100/100 in 0:25 (32 examples/s), loss 0.5000, val_loss 0.2500",
      "",
    ]);
  });

  test("draws no more often than somebody can read", () => {
    const { terminal, clock, reporter } = bar();
    reporter.start(at(0));
    for (let step = 1; step <= 100; step++) {
      clock.now += 1;
      reporter.step(at(step));
    }
    expect(terminal.drawn).toHaveLength(2);
  });

  test("says what is being saved, also where no step follows", () => {
    const { terminal, clock, reporter } = bar();
    reporter.start(at(0));
    clock.now += 1;
    reporter.saving(at(100, { saving: "epoch-02" }));
    expect(terminal.lines.at(-1)).toContain("| saving epoch-02 |");
    reporter.saved(at(100, { saves: 1 }));
    expect(terminal.lines.at(-1)).not.toContain("saving");
  });

  test("writes a warning above the bar, which stays", () => {
    const { terminal, reporter } = bar();
    reporter.start(at(0));
    const [line] = terminal.lines;
    reporter.warning("the disk is slow");
    expect(terminal.lines).toEqual(["warning: the disk is slow", line ?? ""]);
  });

  test("leaves out what there is no room for, and never fills a line", () => {
    for (const columns of [1, 2, 12, 30, 40, 60, 80, 100]) {
      const { terminal, clock, reporter } = bar(columns);
      reporter.start(at(0));
      clock.now = 1000;
      reporter.step(at(50, { loss: 1e-9, metrics: { val_loss: 123_456_789, val_accuracy: NaN } }));
      const line = terminal.lines.at(-1) ?? "";
      expect([columns, line.length < columns]).toEqual([columns, true]);
      expect("epoch 1/2 ".startsWith(line.slice(0, 10))).toBe(true);
    }
    const { terminal, clock, reporter } = bar(200);
    reporter.start(at(0));
    clock.now = 1000;
    reporter.step(at(50, { loss: 1e-9, metrics: { val_loss: 123_456_789, val_accuracy: NaN } }));
    expect(terminal.lines.at(-1)).toContain(
      "loss 1.00e-9 | val_loss 1.23e+8 | val_accuracy NaN | 400 examples/s",
    );
  });

  test("TR-07 says how many kernels are compiled in one line of a terminal, which it takes away", () => {
    const { terminal, reporter } = bar();
    reporter.compile(0, 2);
    reporter.compile(1, 2);
    expect(terminal.drawn).toEqual(["compiling kernels 0/2", "compiling kernels 1/2"]);
    reporter.compile(2, 2);
    expect(terminal.lines).toEqual([""]);
    reporter.start(at(0));
    expect(terminal.lines).toHaveLength(1);
  });

  test("TR-07 leaves nothing of a run that failed before its first step", () => {
    const { terminal, reporter } = bar();
    reporter.compile(0, 2);
    reporter.end(at(0), "error");
    expect(terminal.lines).toEqual([""]);
  });

  test("leaves the cursor and the process's signals as they are", () => {
    const before = process.listenerCount("SIGINT");
    const { terminal, reporter } = bar();
    reporter.start(at(0));
    expect(process.listenerCount("SIGINT")).toBe(before);
    reporter.end(at(0), "end");
    expect(terminal.written.replaceAll("\r\x1b[K", "")).not.toContain("\x1b");
  });
});
