import { describe, expect, test } from "bun:test";
import { FrozenCheckpoint } from "../../../src/checkpoint/capture/frozen_checkpoint.ts";
import type { CommitInfo } from "../../../src/checkpoint/engine/commit_info.ts";
import { type CommitReport, type CommitTarget, SAVE_OPTIONS } from "../../../src/checkpoint/engine/engine.ts";
import { SessionEngine, type Writing } from "../../../src/checkpoint/engine/session_engine.ts";
import type { Checkpoint } from "../../../src/checkpoint/file/checkpoint.ts";

const WRITTEN = { fileId: "", fileBytes: 3, rawBytes: 2, storedBytes: 1 } as CommitReport["written"];

/** Notes its calls; those in `failing` reject. */
class NotedEngine extends SessionEngine {
  readonly name = "noted";
  readonly runId = "";
  readonly resumedFrom = undefined;
  readonly location = "noted:";
  readonly folders = [];
  readonly noted: string[] = [];
  readonly #failing: readonly string[];

  constructor(failing: readonly string[]) {
    super(SAVE_OPTIONS);
    this.#failing = failing;
  }

  pathOf(tag: string): string {
    return `noted:${tag}`;
  }

  list(): Promise<string[]> {
    return Promise.resolve([]);
  }

  remove(tag: string): Promise<void> {
    return this.#note(`remove ${tag}`);
  }

  continueRun(): void {}

  protected async begin(info: CommitInfo, overwrite: boolean): Promise<Writing> {
    await this.#note(overwrite ? "begin over" : "begin");
    return {
      write: () => this.#note("write").then(() => WRITTEN),
      commit: async () => {
        await this.#note("commit");
        const { tag } = info;
        return { info, tag, path: tag, written: WRITTEN, isVerified: false, warnings: [] };
      },
      abort: () => this.#note("abort"),
    };
  }

  protected pathsTo({ tag }: CommitInfo): readonly string[] {
    return [`noted:${tag}`];
  }

  protected open(tag: string): Promise<Checkpoint> {
    return this.#note(`open ${tag}`).then(() => Promise.reject(new Error("nothing there")));
  }

  async #note(call: string): Promise<void> {
    await Promise.resolve();
    this.noted.push(call);
    if (this.#failing.includes(call)) throw new Error(`no ${call}`);
  }
}

function noted(failing: readonly string[] = []) {
  const session = new NotedEngine(failing);
  const save = (state: object = {}, path?: string) => session.save({ state: { ...state } }, path);
  const create = (target: CommitTarget, overwrite?: boolean) => session.create(target, { overwrite });
  return { session, calls: session.noted, save, create };
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

  test("loads by a tag and by a path that begins with its location", async () => {
    const { session, calls } = noted();
    for (const name of ["a", "a.cairn", "noted:a"]) {
      await expect(session.load(name)).rejects.toThrow("nothing there");
    }
    await expect(session.load("elsewhere:a")).rejects.toThrow("cannot be the tag of a checkpoint");
    expect(calls).toEqual(["open a", "open a", "open a"]);
  });

  test("takes the names of the one file for a save, and no other", async () => {
    for (const path of ["a", "a.cairn", "noted:a"]) {
      const { save, create } = noted();
      await create("a");
      expect(await save({}, path)).toBe(WRITTEN);
    }
  });

  test("drops what is under way when it is disposed of", async () => {
    const { session, calls, create } = noted(["abort"]);
    await create("a");
    await session[Symbol.asyncDispose]();
    expect([calls, session.uncommitted]).toEqual([["begin", "abort"], undefined]);
  });

  test("frees the memory of a state once it is committed, failed or dropped", async () => {
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
      await session.save(frozen);
      expect([end, released]).toEqual([end, 0]);
      await (end === "abort" ? session.abort() : session.commit("a").catch(() => {}));
      expect([end, released]).toEqual([end, 1]);
    }
  });
});
