import { CairnError } from "../../base/errors.ts";
import type { HostState, StateInput } from "../../checkpoint/capture/state_types.ts";
import type { CallbackStates, SavedCallbacks } from "../loop/callback_states.ts";
import type { Callback } from "./callback.ts";

/** The callbacks of a trainer, with what was loaded for them and how far they were told of losses. */
export class CallbackList implements CallbackStates {
  readonly all: readonly Callback[];
  /** Steps whose losses were told. */
  told = 0;
  /** What they are to take before the next step, by name. */
  #loaded: ReadonlyMap<string, HostState> | undefined;

  /** @throws TypeError for what is no callback, and for two of one name. */
  constructor(callbacks: readonly Callback[]) {
    if (!Array.isArray(callbacks)) {
      throw new TypeError(`callbacks is a list, such as [earlyStopping()], found ${typeof callbacks}`);
    }
    const names = new Set<string>();
    for (const callback of callbacks) {
      requireCallback(callback);
      if (names.has(callback.name)) {
        throw new TypeError(`Two callbacks are called "${callback.name}"; give one of them another name`);
      }
      names.add(callback.name);
    }
    this.all = [...callbacks];
  }

  /** What a checkpoint keeps; nothing where there is no callback. Throws `callback_failed`. */
  saved(): SavedCallbacks | undefined {
    if (this.all.length === 0) return undefined;
    const states: Record<string, StateInput> = {};
    for (const callback of this.all) {
      const { name } = callback;
      if (this.#loaded !== undefined) {
        // It was not trained since: what was loaded is what it is.
        if (this.#loaded.has(name)) states[name] = this.#loaded.get(name);
      } else if (callback.state !== undefined) states[name] = stateOf(callback);
    }
    return { told: this.told, states };
  }

  take(saved: SavedCallbacks | undefined, step: number): void {
    // Losses of a checkpoint without callbacks are an old story.
    this.told = Math.min(saved?.told ?? step, step);
    this.#loaded = new Map(Object.entries(saved?.states ?? {}) as [string, HostState][]);
  }

  strangersIn(saved: SavedCallbacks | undefined): string[] {
    const known = new Set(this.all.map(({ name }) => name));
    return Object.keys(saved?.states ?? {}).filter((name) => !known.has(name));
  }

  /**
   * Gives each what was loaded for it. After an error it is given again by the next call.
   *
   * @throws CairnError `callback_failed`.
   */
  async load(): Promise<void> {
    const loaded = this.#loaded;
    if (loaded === undefined) return;
    for (const callback of this.all) {
      try {
        await callback.loadState?.(loaded.get(callback.name));
      } catch (error) {
        throw callbackFailed(callback, "could not take its state from the checkpoint", error);
      }
    }
    if (this.#loaded === loaded) this.#loaded = undefined;
  }
}

/** The error of a callback that threw. */
export function callbackFailed({ name }: Callback, what: string, cause: unknown): CairnError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CairnError("callback_failed", `The callback "${name}" ${what}: ${reason}`, {
    details: { value: name },
    cause,
  });
}

function stateOf(callback: Callback): StateInput {
  try {
    return callback.state?.();
  } catch (error) {
    throw callbackFailed(callback, "could not give its state", error);
  }
}

const METHODS = [
  "onCompile",
  "onStart",
  "onStep",
  "onLosses",
  "onEpoch",
  "onValidation",
  "onSaving",
  "onSave",
  "onWarning",
  "onEnd",
  "state",
  "loadState",
] as const satisfies readonly Exclude<keyof Callback, "name">[];

/** @throws TypeError for what is no callback. */
export function requireCallback(callback: Callback): void {
  const found: unknown = callback;
  if (typeof found !== "object" || found === null) {
    throw new TypeError(
      `A callback is an object with a name, found ${found === null ? "null" : typeof found}`,
    );
  }
  const { name } = callback;
  if (typeof name !== "string" || name === "") {
    throw new TypeError(`A callback has a name, such as "early stopping", found ${JSON.stringify(name)}`);
  }
  const wrong = METHODS.find((method) => !["undefined", "function"].includes(typeof callback[method]));
  if (wrong !== undefined) throw new TypeError(`${wrong} of the callback "${name}" is no function`);
  const own = Object.keys(callback).find((key) =>
    /^on[A-Z]/.test(key) && !(METHODS as readonly string[]).includes(key)
  );
  if (own === undefined) return;
  throw new TypeError(
    `The callback "${name}" has "${own}", which nobody calls; there is ${METHODS.join(", ")}`,
  );
}
