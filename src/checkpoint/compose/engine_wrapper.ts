import type { WriteReport } from "../../container/write/container_writer.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import type { CheckpointFolder } from "../engine/checkpoint_folder.ts";
import type { CommitInfo } from "../engine/commit_info.ts";
import type {
  CommitReport,
  CommitTarget,
  CreateOptions,
  Engine,
  EngineCommitOptions,
  EngineLoadOptions,
  RemoveOptions,
  SaveOptions,
} from "../engine/engine.ts";
import type { CheckpointState, FrozenCheckpoint } from "../capture/frozen_checkpoint.ts";

/** An engine that passes everything on to another one: what a wrapper that changes only some of it extends. */
export class EngineWrapper implements Engine {
  /** The engine that does the work. */
  readonly inner: Engine;

  /** Wraps `inner`. */
  constructor(inner: Engine) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  get runId(): string {
    return this.inner.runId;
  }

  get resumedFrom(): string | undefined {
    return this.inner.resumedFrom;
  }

  create(target: CommitTarget, options?: CreateOptions): Promise<void> {
    return this.inner.create(target, options);
  }

  save(
    state: CheckpointState | FrozenCheckpoint,
    path?: string,
    options?: SaveOptions,
  ): Promise<WriteReport | undefined> {
    return this.inner.save(state, path, options);
  }

  commit(target: CommitTarget, options?: EngineCommitOptions): Promise<CommitReport> {
    return this.inner.commit(target, options);
  }

  abort(): Promise<void> {
    return this.inner.abort();
  }

  get uncommitted(): CommitInfo | undefined {
    return this.inner.uncommitted;
  }

  load(tagOrPath: string | number, options?: EngineLoadOptions): Promise<Checkpoint> {
    return this.inner.load(tagOrPath, options);
  }

  list(): Promise<string[]> {
    return this.inner.list();
  }

  remove(tag: string, options?: RemoveOptions): Promise<void> {
    return this.inner.remove(tag, options);
  }

  get location(): string {
    return this.inner.location;
  }

  get folders(): readonly CheckpointFolder[] {
    return this.inner.folders;
  }

  pathOf(tag: string): string {
    return this.inner.pathOf(tag);
  }

  continueRun(runId: string, tag: string): void {
    this.inner.continueRun(runId, tag);
  }

  isDecoupled(): boolean {
    return this.inner.isDecoupled();
  }

  readsStateOnce(): boolean {
    return this.inner.readsStateOnce?.() ?? false;
  }

  cleanup(): Promise<void> {
    return this.inner.cleanup();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cleanup();
  }
}
