import { describe, expect, test } from "bun:test";
import { FrozenCheckpoint } from "../../../src/checkpoint/capture/frozen_checkpoint.ts";
import type { CommitInfo } from "../../../src/checkpoint/engine/commit_info.ts";
import {
  type CommitReport,
  type CommitTarget,
  ENGINE_OPTIONS,
  type SaveOptions,
} from "../../../src/checkpoint/engine/engine.ts";
import { SaveSession, type Writing } from "../../../src/checkpoint/engine/save_session.ts";

const WRITTEN = { fileId: "", fileBytes: 3, rawBytes: 2, storedBytes: 1 } as CommitReport["written"];

/** A session over a writer that notes its calls; those in `failing` reject. */
function noted(failing: readonly string[] = []) {
  const calls: string[] = [];
  const note = (call: string): void => {
    calls.push(call);
    if (failing.includes(call)) throw new Error(`no ${call}`);
  };
  const writingOf = (info: CommitInfo): Writing<SaveOptions> => ({
    write: () => Promise.resolve().then(() => note("write")).then(() => WRITTEN),
    commit: () =>
      Promise.resolve().then(() => note("commit")).then(() => (
        { info, tag: info.tag, path: info.tag, written: WRITTEN, isVerified: false, warnings: [] }
      )),
    abort: () => Promise.resolve().then(() => note("abort")),
  });
  const session = new SaveSession<SaveOptions>({
    begin: (info, overwrite) =>
      Promise.resolve().then(() => note(overwrite ? "begin over" : "begin")).then(() => writingOf(info)),
    requireFileOf: ({ tag }, path) => {
      if (path !== tag) throw new TypeError(`not ${path}`);
    },
  }, ENGINE_OPTIONS.save);
  const save = (state: object = {}, path?: string) => session.save({ state: { ...state } }, path, {});
  const create = (target: CommitTarget, overwrite?: boolean) =>
    session.create(target, overwrite === undefined ? {} : { overwrite });
  return { session, calls, save, create };
}

describe("the session of a save", () => {
  test("begins, writes and commits, in this order and once each", async () => {
    const { session, calls, save, create } = noted();
    await create("a");
    expect(await save({}, "a")).toBe(WRITTEN);
    expect((await session.commit("a")).tag).toBe("a");
    expect([calls, session.uncommitted]).toEqual([["begin", "write", "commit"], undefined]);
  });

  test("passes on what may be replaced", async () => {
    const { calls, create } = noted();
    await create("a", true);
    expect(calls).toEqual(["begin over"]);
  });

  test("refuses what comes out of order, and calls nobody", async () => {
    const { session, calls, save, create } = noted();
    await expect(save()).rejects.toThrow("Cannot save: call create() with the checkpoint's tag first");
    await expect(session.commit("a")).rejects.toThrow('Cannot commit "a": nothing was created');
    await create("a");
    await expect(session.commit("a")).rejects.toThrow('Cannot commit "a": nothing was saved');
    await expect(session.commit("b")).rejects.toThrow(
      'Cannot commit "b": "a" was created, with other fields',
    );
    await expect(save({}, "b")).rejects.toThrow(TypeError);
    await save();
    await expect(save()).rejects.toThrow("Cannot save: call create()");
    await expect(create("b")).rejects.toThrow('Cannot create "b": "a" was saved and not committed');
    expect([calls, session.uncommitted?.tag]).toEqual([["begin", "write"], "a"]);
  });

  test("refuses a call while another one is under way", async () => {
    const { session, calls, save, create } = noted();
    await create("a");
    const saving = save();
    await expect(create("b")).rejects.toThrow("Cannot create: another call of this engine is under way");
    await saving;
    const committing = session.commit("a");
    await expect(session.commit("a")).rejects.toThrow("Cannot commit: another call");
    await committing;
    expect(calls).toEqual(["begin", "write", "commit"]);
  });

  test("aborts what was begun, after an error of the write or the commit, and by another create", async () => {
    const write = noted(["write"]);
    await write.create("a");
    await expect(write.save()).rejects.toThrow("no write");
    expect([write.calls, write.session.uncommitted]).toEqual([["begin", "write", "abort"], undefined]);

    const commit = noted(["commit"]);
    await commit.create("a");
    await commit.save();
    await expect(commit.session.commit("a")).rejects.toThrow("no commit");
    expect([commit.calls, commit.session.uncommitted]).toEqual([
      ["begin", "write", "commit", "abort"],
      undefined,
    ]);

    const twice = noted();
    await twice.create("a");
    await twice.create("b");
    await twice.session.abort();
    await twice.session.abort();
    expect([twice.calls, twice.session.uncommitted]).toEqual([
      ["begin", "abort", "begin", "abort"],
      undefined,
    ]);
  });

  test("keeps nothing of a checkpoint that could not be begun", async () => {
    const { session, calls, create } = noted(["begin"]);
    await expect(create("a")).rejects.toThrow("no begin");
    await session.abort();
    expect([calls, session.uncommitted]).toEqual([["begin"], undefined]);
  });

  test("gives the memory of a state back once it is there, failed or was dropped", async () => {
    for (const end of ["commit", "failed commit", "abort"]) {
      const { session, create } = noted(end === "failed commit" ? ["commit"] : []);
      const frozen = FrozenCheckpoint.of({ state: {} });
      let released = 0;
      const release = frozen.release.bind(frozen);
      frozen.release = () => {
        released++;
        release();
      };
      await create("a");
      await session.save(frozen, undefined, {});
      expect([end, released]).toEqual([end, 0]);
      await (end === "abort" ? session.abort() : session.commit("a").catch(() => {}));
      expect([end, released]).toEqual([end, 1]);
    }
  });
});
