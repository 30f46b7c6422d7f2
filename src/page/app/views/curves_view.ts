import { historyCurves } from "../curves/history_curves.ts";
import type { RunCurves } from "../curves/run_curves.ts";
import { element, fill } from "../dom/element.ts";
import { LogFollower } from "../files/follow_log.ts";
import type { KnownFile, Library } from "../files/library.ts";
import type { OpenedFile } from "../read/opened_file.ts";
import { directoryOf, nameOf } from "../../../storage/storage_path.ts";
import { CurvePanel } from "./curve_panel.ts";
import { emptyNotice, errorNotice } from "./notices.ts";
import type { View } from "./view.ts";

const POLL_MS = 1_000;

/** The curves of all runs: of their logs, which are followed, or else of what their newest checkpoints keep. */
export class CurvesView implements View {
  readonly root: HTMLElement = element("article", {}, element("h1", {}, "Curves"));
  readonly #library: Library;
  readonly #panel = new CurvePanel();
  readonly #notice: HTMLElement = element("div");
  readonly #followers = new Map<string, LogFollower>();
  readonly #histories = new Map<string, RunCurves | undefined>();
  readonly #closing = new AbortController();

  constructor(library: Library) {
    this.#library = library;
    this.root.append(this.#notice, this.#panel.root);
    void this.#follow();
  }

  close(): void {
    this.#closing.abort();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const hasLogs = await this.#pollLogs(signal);
        const hasHistories = await this.#readHistories();
        if (hasLogs || hasHistories) this.#show();
        fill(this.#notice, this.#runs().length === 0 && NOTHING());
      } catch (error) {
        // The next time may be better: a server comes back, a file is written to its end.
        if (!signal.aborted) fill(this.#notice, errorNotice("A log cannot be read", error));
      }
      await pause(POLL_MS, signal);
    }
  }

  async #pollLogs(signal: AbortSignal): Promise<boolean> {
    const logs = this.#library.files.filter(({ kind }) => kind === "log");
    let hasChanged = false;
    for (const path of this.#followers.keys()) {
      if (logs.some((log) => log.path === path)) continue;
      this.#followers.delete(path);
      hasChanged = true;
    }
    for (const { path, files } of logs) {
      const follower = this.#followers.get(path) ?? new LogFollower(files, path, runName(path));
      this.#followers.set(path, follower);
      hasChanged = await follower.poll(signal) || hasChanged;
    }
    return hasChanged;
  }

  /** Of the newest checkpoint of each directory that has no log. */
  async #readHistories(): Promise<boolean> {
    const newest = newestCheckpoints(this.#library.files.filter((file) => !this.#hasLog(file)));
    let hasChanged = false;
    for (const path of this.#histories.keys()) {
      if (newest.some((each) => each.path === path)) continue;
      this.#histories.delete(path);
      hasChanged = true;
    }
    for (const { path } of newest) {
      if (this.#histories.has(path)) continue;
      const opened = await this.#library.open(path).catch(() => undefined);
      this.#histories.set(path, await historyOf(opened));
      hasChanged = true;
    }
    return hasChanged;
  }

  #hasLog({ path }: KnownFile): boolean {
    return [...this.#followers.keys()].some((log) => {
      const directory = directoryOf(log);
      return directory === "" || path.startsWith(`${directory}/`);
    });
  }

  #runs(): readonly RunCurves[] {
    const histories = [...this.#histories.values()].filter((curves) => curves !== undefined);
    return [...[...this.#followers.values()].map(({ curves }) => curves), ...histories];
  }

  #show(): void {
    this.#panel.show(this.#runs());
  }
}

const NOTHING = (): Element =>
  emptyNotice(
    "No curves yet",
    "They come from the logs of runs (",
    element("code", {}, "jsonlLog(path)"),
    ", files that end in .jsonl), or from the checkpoints of a trainer.",
  );

/** What a person calls the run of a log: its directory where the log is just called "log". */
function runName(path: string): string {
  const name = nameOf(path).replace(/\.jsonl$/i, "");
  const directory = directoryOf(path);
  return /^(log|train|training|metrics)$/i.test(name) && directory !== ""
    ? directory
    : path.replace(/\.jsonl$/i, "");
}

function newestCheckpoints(files: readonly KnownFile[]): readonly KnownFile[] {
  const newest = new Map<string, KnownFile>();
  for (const file of files) {
    if (file.kind !== "checkpoint") continue;
    const directory = directoryOf(file.path);
    const before = newest.get(directory);
    if (before === undefined || before.modifiedMs < file.modifiedMs) newest.set(directory, file);
  }
  return [...newest.values()];
}

/** What a checkpoint cannot say has no curve; why, its own view says. */
async function historyOf(file: OpenedFile | undefined): Promise<RunCurves | undefined> {
  if (file === undefined) return undefined;
  const name = directoryOf(file.path) === "" ? nameOf(file.path) : directoryOf(file.path);
  const state = await file.state().catch(() => undefined);
  return historyCurves(state, name, file.path);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
