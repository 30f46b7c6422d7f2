import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "bun:test";
import type { Checkpoint } from "../../../src/checkpoint/file/checkpoint.ts";
import type {
  CommitReport,
  CommitTarget,
  CreateOptions,
  Engine,
} from "../../../src/checkpoint/engine/engine.ts";
import {
  engineConformance,
  type EngineUnderTest,
} from "../../../src/checkpoint/compose/engine_conformance.ts";
import { EngineWrapper } from "../../../src/checkpoint/compose/engine_wrapper.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import type { CheckpointState } from "../../../src/checkpoint/capture/frozen_checkpoint.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { memoryEngine } from "../fixtures.ts";

const folders: string[] = [];

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "cairn-engine-"));
  folders.push(folder);
  return folder;
}

const engines: Record<string, EngineUnderTest> = {
  "FileEngine over FileStorage": {
    open: async () => await FileEngine.open(await newFolder(), { chunkBytes: 4096 }),
    reopen: (engine) => FileEngine.open(engine.pathOf("x").slice(0, -"x.cairn".length)),
  },
  "FileEngine over MemoryStorage": {
    open: () => memoryEngine(new MemoryStorage(), { chunkBytes: 4096 }),
    reopen: (engine) => memoryEngine((engine as FileEngine).storage),
  },
  "a wrapper that passes everything on": { open: async () => new EngineWrapper(await memoryEngine()) },
};

for (const [name, subject] of Object.entries(engines)) {
  describe(`${name} conforms to the engine's contract`, () => {
    for (const check of engineConformance(subject)) test(check.name, check.run);
  });
}

/** Names of the checks that an engine breaks. */
async function broken(subject: EngineUnderTest): Promise<string[]> {
  const names: string[] = [];
  for (const { name, run } of engineConformance(subject)) {
    const error = await run().then(() => undefined, (cause: unknown) => cause);
    if (error !== undefined) names.push(name);
  }
  return names;
}

/** Publishes when it saves: what is interrupted before the commit is there all the same. */
class EagerEngine extends EngineWrapper {
  #report: CommitReport | undefined;

  override async save(state: CheckpointState): Promise<undefined> {
    const info = this.inner.uncommitted;
    await this.inner.save(state);
    if (info !== undefined) this.#report = await this.inner.commit(info);
  }

  override commit(): Promise<CommitReport> {
    return this.#report === undefined
      ? Promise.reject(new Error("nothing saved"))
      : Promise.resolve(this.#report);
  }
}

/** Looks at the state only after a turn. */
class LateEngine extends EngineWrapper {
  override async save(state: CheckpointState): Promise<undefined> {
    await Promise.resolve();
    await this.inner.save(state);
  }
}

/** Takes any tag in a commit for the one that was created. */
class TrustingEngine extends EngineWrapper {
  override commit(target: CommitTarget): Promise<CommitReport> {
    return this.inner.commit(this.inner.uncommitted ?? target);
  }
}

/** Makes room for the new one before that is there. */
class RemovingEngine extends EngineWrapper {
  override async create(target: CommitTarget, options?: CreateOptions): Promise<void> {
    if (options?.overwrite && typeof target === "string") await this.inner.remove(target);
    await this.inner.create(target, options);
  }
}

/** Reports a commit that it has not made. */
class LyingEngine extends EngineWrapper {
  override async commit(target: CommitTarget): Promise<CommitReport> {
    const report = await this.inner.commit(target);
    await this.inner.remove(report.tag);
    return report;
  }
}

/** Keeps what belongs beside its checkpoints elsewhere. */
class WanderingEngine extends EngineWrapper {
  override get folders(): Engine["folders"] {
    return [{ storage: new MemoryStorage(), directory: "elsewhere" }];
  }
}

/** Gives any checkpoint for one that is not there. */
class GenerousEngine extends EngineWrapper {
  override async load(tag: string | number): Promise<Checkpoint> {
    return await this.inner.load(tag).catch(async (error: unknown) => {
      const [any] = await this.inner.list();
      if (any === undefined) throw error;
      return await this.inner.load(any);
    });
  }
}

describe("the conformance suite finds", () => {
  const wrong: Record<string, [(inner: Engine) => Engine, string]> = {
    "an engine that publishes before the commit": [
      (inner) => new EagerEngine(inner),
      "nothing is visible before the commit",
    ],
    "an engine that freezes too late": [
      (inner) => new LateEngine(inner),
      "the state is the one in the tick of save, whatever happens to it afterwards",
    ],
    "an engine that commits what it was not asked to": [
      (inner) => new TrustingEngine(inner),
      "a commit that cannot be true is an error: nothing created, nothing saved, another tag",
    ],
    "an engine that deletes before it overwrites": [
      (inner) => new RemovingEngine(inner),
      "a tag that is taken is refused, and replaced when it is told to",
    ],
    "an engine whose commit is a lie": [
      (inner) => new LyingEngine(inner),
      "what was committed loads again, bit by bit",
    ],
    "an engine whose folder is elsewhere": [
      (inner) => new WanderingEngine(inner),
      "the first of its folders is its location",
    ],
    "an engine that loads another checkpoint than the one asked for": [
      (inner) => new GenerousEngine(inner),
      "list is in order of name, and remove removes",
    ],
  };
  for (const [name, [wrap, check]] of Object.entries(wrong)) {
    test(name, async () => {
      const found = await broken({ open: async () => wrap(await memoryEngine()) });
      expect(found).toContain(check);
    });
  }
});
