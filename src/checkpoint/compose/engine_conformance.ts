import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import { joinPath } from "../../storage/storage_path.ts";
import type { Engine } from "../engine/engine.ts";
import { Lease } from "../keep/evaluators/lease.ts";
import { FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";

/** How to open the engine under test. */
export interface EngineUnderTest {
  /** A new engine without checkpoints, which shares nothing with those given before. */
  open(): Promise<Engine>;
  /**
   * Another engine over the same checkpoints as `engine`, as the next process would open it. Leave it out for an
   * engine whose checkpoints end with the process.
   */
  reopen?(engine: Engine): Promise<Engine>;
}

/** One promise of {@link Engine}. */
export interface ConformanceCheck {
  /** The promise, as a sentence. */
  readonly name: string;
  /** Rejects when it is broken, and says what was expected and what was found. */
  run(): Promise<void>;
}

interface Subject {
  readonly engine: Engine;
  readonly subject: EngineUnderTest;
}

/**
 * What every engine promises, as checks that need no test framework. Cairn's own engines pass them.
 *
 * @example
 * ```ts
 * for (const { name, run } of engineConformance({ open: () => MyEngine.open(freshPlace()) })) test(name, run);
 * ```
 */
export function engineConformance(subject: EngineUnderTest): ConformanceCheck[] {
  return Object.entries(PROMISES).map(([name, check]) => ({
    name,
    run: async () => {
      const engine = await subject.open();
      try {
        await check({ engine, subject });
      } finally {
        await engine.cleanup();
      }
    },
  }));
}

const PROMISES: Readonly<Record<string, (given: Subject) => Promise<void>>> = {
  "what was committed loads again, bit by bit": async ({ engine }) => {
    const state = sampleState(7);
    await engine.create("a");
    await engine.save({ state, metrics: { loss: 0.5 }, provenance: { step: 7 }, clientState: { note: "n" } });
    await engine.commit("a");
    const checkpoint = await engine.load("a");
    try {
      await checkpoint.verify();
      expectSame(await checkpoint.state(), state, "the state");
      expectSame(await checkpoint.clientState(), { note: "n" }, "the client state");
      expectSame({ ...checkpoint.metrics }, { loss: 0.5 }, "the metrics");
      expectSame([checkpoint.tag, checkpoint.step], ["a", 7], "the tag and the step");
      expectSame(checkpoint.provenance.runId, engine.runId, "the run id in the checkpoint");
    } finally {
      await checkpoint.close();
    }
  },

  "nothing is visible before the commit": async ({ engine }) => {
    await saveStep(engine, "old", 1);
    await engine.create("new");
    await settle();
    expectSame(await engine.list(), ["old"], "the list after create");
    await engine.save({ state: sampleState(2) });
    await settle();
    expectSame(await engine.list(), ["old"], "the list after save");
    await expectCode(engine.load("new"), "not_found", "load before the commit");
    await engine.commit("new");
    expectSame(await engine.list(), ["new", "old"], "the list after commit");
  },

  "the state is the one in the tick of save, whatever happens to it afterwards": async ({ engine }) => {
    const state = { step: 1, history: new Float32Array([1, 2]), list: [{ a: 1 }] };
    await engine.create("a");
    const saving = engine.save({ state });
    state.step = 2;
    state.history[0] = 9;
    state.list.push({ a: 2 });
    await saving;
    await engine.commit("a");
    const expected = { step: 1, history: new Float32Array([1, 2]), list: [{ a: 1 }] };
    expectSame(await stateOf(engine, "a"), expected, "the state");
  },

  "the state's bytes are asked for during save, or until commit by a decoupled engine, and once where it says so":
    async (
      { engine },
    ) => {
      const frozen = FrozenCheckpoint.of({ state: sampleState(1) });
      let readings = 0;
      frozen.listen({ onPhase: (phase) => phase === "reading" && readings++, onRead: () => {} });
      await engine.create("a");
      await engine.save(frozen);
      const afterSave = readings;
      await engine.commit("a");
      if (!engine.isDecoupled()) expectSame(readings, afterSave, "the readings after commit");
      if (engine.readsStateOnce?.() === true) {
        expectSame(readings, 1, "the readings of an engine that reads once");
      } else if (readings === 0) throw broken("the readings", "one or more", readings);
    },

  "commit says what was committed": async ({ engine }) => {
    await engine.create({ tag: "a" });
    expectSame(engine.uncommitted?.tag, "a", "what is uncommitted after create");
    await engine.save({ state: sampleState(1) });
    const report = await engine.commit("a");
    expectSame(report.tag, "a", "the tag in the report");
    expectSame(report.info.tag, "a", "the commit info in the report");
    expectSame(
      (await stateOf(engine, report.path) as SampleState).step,
      1,
      "the step of what has the report's path",
    );
    expectSame([...report.warnings], [], "the warnings");
    if (!(report.written.rawBytes > 0 && report.written.fileBytes > report.written.storedBytes)) {
      throw broken("the sizes in the report", "those of the file", report.written);
    }
    expectSame(engine.uncommitted, undefined, "what is uncommitted after commit");
  },

  "a commit that cannot be true is an error: nothing created, nothing saved, another tag": async (
    { engine },
  ) => {
    await expectCode(engine.commit("a"), "commit_failed", "commit without create");
    await expectCode(engine.save({ state: {} }), "commit_failed", "save without create");
    await engine.create("a");
    await expectCode(engine.commit("a"), "commit_failed", "commit without save");
    await engine.save({ state: { step: 1 } });
    await expectCode(engine.commit("b"), "commit_failed", "commit of another tag");
    await expectCode(
      engine.commit({ tag: "a", saveLatest: false }),
      "commit_failed",
      "commit of other fields",
    );
    await expectCode(engine.create("c"), "commit_failed", "create over a save that was not committed");
    await engine.commit({ tag: "a" });
    await expectCode(engine.commit("a"), "commit_failed", "a second commit");
    expectSame(await engine.list(), ["a"], "the list");
  },

  "a tag that is taken is refused, and replaced when it is told to": async ({ engine }) => {
    await saveStep(engine, "a", 1);
    await expectCode(engine.create("a"), "already_exists", "create of a tag that is taken");
    expectSame(await stateOf(engine, "a"), { step: 1 }, "the old state");
    await engine.create("a", { overwrite: true });
    await engine.save({ state: { step: 2 } });
    expectSame(await stateOf(engine, "a"), { step: 1 }, "the old state until the commit");
    await engine.commit("a");
    expectSame(await stateOf(engine, "a"), { step: 2 }, "the new state");
  },

  "a tag that no file should have is refused before anything is touched": async ({ engine }) => {
    for (const tag of ["", "../a", "a/b", "con", "latest", "a..b", -1, 1.5]) {
      await expectCode(engine.create(tag), "invalid_tag", `create(${JSON.stringify(tag)})`);
      await expectCode(engine.load(tag), "invalid_tag", `load(${JSON.stringify(tag)})`);
    }
    expectSame(engine.uncommitted, undefined, "what is uncommitted");
    expectSame(await engine.list(), [], "the list");
  },

  "abort leaves nothing of the save, and the engine goes on": async ({ engine }) => {
    await engine.abort();
    await engine.create("a");
    await engine.save({ state: sampleState(1) });
    await engine.abort();
    await engine.abort();
    expectSame(await engine.list(), [], "the list after abort");
    await expectCode(engine.commit("a"), "commit_failed", "commit after abort");
    await saveStep(engine, "a", 2);
    expectSame(await stateOf(engine, "a"), { step: 2 }, "the state saved afterwards");
  },

  "an abort signal ends the save with its reason, and nothing is left": async ({ engine }) => {
    const reason = new Error("enough");
    const controller = new AbortController();
    controller.abort(reason);
    await engine.create("a");
    const outcome = await engine.save({ state: sampleState(1) }, undefined, { signal: controller.signal })
      .then(() => engine.commit("a")).then(() => "a commit", (error: unknown) => error);
    if (outcome !== reason) throw broken("an aborted save", "the signal's reason", outcome);
    await engine.abort();
    expectSame(await engine.list(), [], "the list");
    await saveStep(engine, "a", 2);
  },

  "a state that cannot be saved is a TypeError, and the engine goes on": async ({ engine }) => {
    const cyclic: { self?: object } = {};
    cyclic.self = cyclic;
    await engine.create("a");
    const error = await engine.save({ state: cyclic as never }).catch((cause: unknown) => cause);
    if (!(error instanceof TypeError)) throw broken("save of a cycle", "a TypeError", error);
    await engine.abort();
    await saveStep(engine, "a", 1);
    expectSame(await stateOf(engine, "a"), { step: 1 }, "the state saved afterwards");
  },

  "list is in order of name, and remove removes": async ({ engine }) => {
    expectSame(await engine.list(), [], "the list of an engine that has not saved");
    for (const tag of [200, 100, 1000]) await saveStep(engine, tag, tag);
    expectSame(await engine.list(), ["100", "1000", "200"], "the list");
    await engine.remove("1000");
    expectSame(await engine.list(), ["100", "200"], "the list after remove");
    await expectCode(engine.load(1000), "not_found", "load of what was removed");
    await expectCode(engine.remove("1000"), "not_found", "remove of what was removed");
  },

  "loads by tag, by step and by path": async ({ engine }) => {
    await saveStep(engine, 100, 100);
    const path = engine.pathOf("100");
    if (!path.startsWith(engine.location)) throw broken("a path", `in ${engine.location}`, path);
    for (const name of [100, "100", path]) {
      expectSame(await stateOf(engine, name), { step: 100 }, `the state of ${JSON.stringify(name)}`);
    }
    await saveStep(engine, "named", 300);
    await saveStep(engine, "named-again", 300);
    expectSame(
      await tagLoadedBy(engine, 300),
      "named-again",
      "the newest of the step 300, which has another name",
    );
    await saveStep(engine, "7", 8);
    for (const step of [7, 101]) {
      await expectCode(engine.load(step), "not_found", "load of a step that never was");
    }
  },

  "what is read under a lease keeps its bytes, replaced or removed": async ({ engine, subject }) => {
    if (engine.folders.length === 0) return;
    const reader = await subject.reopen?.(engine) ?? engine;
    for (const tag of ["replaced", "removed"]) {
      await engine.create(tag);
      await engine.save({ state: sampleState(1) });
      await engine.commit(tag);
      const lease = await Lease.take(reader, tag);
      const checkpoint = await reader.load(tag);
      if (tag === "removed") await engine.remove(tag);
      else await saveStep(engine, tag, 2, true);
      expectSame(await checkpoint.state(), sampleState(1), `the state of what was ${tag}`);
      await checkpoint.close();
      await lease.release();
    }
    expectSame(await stateOf(engine, "replaced"), { step: 2 }, "the state that is there now");
    if (reader !== engine) await reader.cleanup();
  },

  "the first of its folders is its location": async ({ engine }) => {
    const [folder] = engine.folders;
    if (folder === undefined) return await Promise.resolve();
    const path = folder.storage.describe(joinPath(folder.directory, "x"));
    expectSame(path, `${engine.location}x`, "a file in the first folder");
  },

  "goes on as the run that it is told": async ({ engine }) => {
    expectSame(engine.resumedFrom, undefined, "what a new engine was resumed from");
    await saveStep(engine, "a", 1);
    const runId = "00112233445566778899aabbccddeeff";
    engine.continueRun(runId, "a");
    expectSame([engine.runId, engine.resumedFrom], [runId, "a"], "the run after continueRun");
    await saveStep(engine, "b", 2);
    const checkpoint = await engine.load("b");
    const found = checkpoint.provenance.runId;
    await checkpoint.close();
    expectSame(found, runId, "the run id in a checkpoint saved afterwards");
  },

  "cleanup can be called at any time and twice, and what was committed stays": async ({ engine }) => {
    await engine.cleanup();
    await saveStep(engine, "a", 1);
    await engine.create("b");
    await engine.cleanup();
    await engine.cleanup();
    expectSame(await engine.list(), ["a"], "the list");
    expectSame(await stateOf(engine, "a"), { step: 1 }, "the state");
  },

  "says what it is": async ({ engine }) => {
    expectSame(typeof engine.isDecoupled(), "boolean", "the type of isDecoupled()");
    if (engine.name === "") throw broken("the engine's name", "some text", engine.name);
    await Promise.resolve();
  },

  "what was committed is there for the next process, and nothing else": async ({ engine, subject }) => {
    if (subject.reopen === undefined) return;
    await saveStep(engine, "a", 1);
    await engine.create("b");
    await engine.save({ state: sampleState(2) });
    await engine.abort();
    await engine.cleanup();
    const next = await subject.reopen(engine);
    expectSame(await next.list(), ["a"], "the list of the next process");
    expectSame(await stateOf(next, "a"), { step: 1 }, "the state in the next process");
    await saveStep(next, "c", 3);
    expectSame(await next.list(), ["a", "c"], "the list after the next process saved");
    await next.cleanup();
  },
};

type SampleState = {
  step: number;
  text: string;
  nothing: undefined;
  weights: Float32Array;
  nested: { list: number[]; when: Date; flags: Map<string, boolean> };
};

function sampleState(step: number): SampleState {
  // More than is read when a checkpoint is opened.
  const weights = Float32Array.from({ length: 25_000 }, (_, index) => Math.sin(index * step));
  weights.set([NaN, -0, Infinity]);
  const flags = new Map([["on", true], ["off", false]]);
  return {
    step,
    text: "ä\u0000€",
    nothing: undefined,
    weights,
    nested: { list: [1, 2], when: new Date(5), flags },
  };
}

async function saveStep(
  engine: Engine,
  tag: string | number,
  step: number,
  overwrite = false,
): Promise<void> {
  await engine.create(tag, { overwrite });
  await engine.save({ state: { step }, provenance: { step } });
  await engine.commit(tag);
}

async function stateOf(engine: Engine, tag: string | number): Promise<unknown> {
  const checkpoint = await engine.load(tag);
  try {
    await checkpoint.verify();
    return await checkpoint.state();
  } finally {
    await checkpoint.close();
  }
}

async function tagLoadedBy(engine: Engine, step: number): Promise<string> {
  const checkpoint = await engine.load(step);
  await checkpoint.close();
  return checkpoint.tag;
}

/** Long enough for an engine to do in the background what it must not do. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5));
}

async function expectCode(promise: Promise<unknown>, code: CairnErrorCode, what: string): Promise<void> {
  const outcome = await promise.then(() => "success", (error: unknown) => error);
  if (outcome instanceof CairnError && outcome.code === code) return;
  throw broken(what, `a CairnError "${code}"`, outcome);
}

function expectSame(found: unknown, expected: unknown, what: string): void {
  if (isSame(found, expected)) return;
  throw broken(what, describe(expected), found);
}

/** Equal kinds with equal contents, NaN and -0 told apart from all else; for the kinds that these checks use. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return Object.is(a, b);
  if (Object.prototype.toString.call(a) !== Object.prototype.toString.call(b)) return false;
  if (a instanceof Date && b instanceof Date) return Object.is(a.getTime(), b.getTime());
  if (a instanceof Map && b instanceof Map) return isSame([...a], [...b]);
  const [keys, otherKeys] = [Object.keys(a), Object.keys(b)];
  return isSameList(keys, otherKeys) && keys.every((key) => isSame(Reflect.get(a, key), Reflect.get(b, key)));
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

function broken(what: string, expected: string, found: unknown): Error {
  return new Error(`The engine does not conform: ${what} should be ${expected}, found ${describe(found)}`, {
    cause: found,
  });
}

function describe(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
