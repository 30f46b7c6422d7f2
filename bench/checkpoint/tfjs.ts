import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { runtimeCommand } from "../../tests/helpers/child.ts";
import type { BenchState } from "./state.ts";

const PEERS = new URL("../peers/tfjs/", import.meta.url);
const SCRIPT = new URL("./save.mjs", PEERS);

interface Reply {
  readonly absent?: string;
  readonly backend?: string;
  readonly ms?: number;
  readonly byteLength?: number;
  readonly ok?: boolean;
}

/**
 * TensorFlow.js in a process of its own, in this very runtime, with tensors of the same shapes: `model.save` to a
 * handler that keeps nothing. Only the save is timed, in that process; it waits while others are timed.
 */
export class TfjsPeer {
  /** "webgpu", or what it fell back to. */
  readonly backend: string;
  /** Of each save so far, in its process: of the save alone. */
  readonly saveMs: number[] = [];
  readonly #child: ChildProcess;
  readonly #replies: AsyncIterator<string>;

  private constructor(backend: string, child: ChildProcess, replies: AsyncIterator<string>) {
    this.backend = backend;
    this.#child = child;
    this.#replies = replies;
  }

  /**
   * Installs it beside the bench, where that was not done, and starts it.
   * @throws Error that says why it is not to be had.
   */
  static async start(state: BenchState): Promise<TfjsPeer> {
    install();
    const [program = "", ...args] = runtimeCommand(SCRIPT);
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout });
    const peer = new TfjsPeer("", child, lines[Symbol.asyncIterator]());
    const tensors = state.store.tensors().map(({ name, shape }) => ({ name, shape }));
    const { backend = "" } = await peer.#ask({ provider: state.store.gpu.provider, tensors });
    return new TfjsPeer(backend, child, peer.#replies);
  }

  /** Saves once more. @throws when what was saved is not what that process holds. */
  async save(): Promise<void> {
    const { ms, ok } = await this.#ask({});
    if (ms === undefined || ok !== true) throw new Error("TensorFlow.js did not save what it holds");
    this.saveMs.push(ms);
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }

  async #ask(request: object): Promise<Reply> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#replies.next();
    if (done === true) throw new Error("TensorFlow.js ended");
    const reply = JSON.parse(value) as Reply;
    if (reply.absent !== undefined) throw new Error(reply.absent.split("\n")[0]);
    return reply;
  }
}

function install(): void {
  if (existsSync(new URL("./node_modules/@tensorflow/tfjs-layers/package.json", PEERS))) return;
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const args = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
  const { status, stderr } = spawnSync(npm, args, { cwd: fileURLToPath(PEERS), encoding: "utf8" });
  if (status !== 0) {
    throw new Error(`npm ci in bench/peers/tfjs failed: ${stderr?.trim().split("\n").at(-1)}`);
  }
}
