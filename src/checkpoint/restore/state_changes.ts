import { freezeState, thawState } from "../capture/host_state.ts";
import { type HostState, isStateful, type Stateful } from "../capture/state_types.ts";
import { isPlain } from "./restore_state.ts";
import { isTypedArray } from "../capture/typed_arrays.ts";

/** State by name or by key, of whatever kind. */
type Fields = { [name: string]: unknown };

/**
 * Puts saved state back in place, name by name, and can take all of it back.
 *
 * A `Stateful` takes its own, also inside of plain objects; a plain object gets the saved fields; a typed array of
 * the same kind and length gets the saved elements; and anything else is replaced.
 *
 * What a `Stateful` was before is what its `stateDict` says: it is copied before `loadStateDict`, and given back to
 * that when a load fails. One that cannot say what it is, because `stateDict` throws, cannot be put back. One that
 * refuses its state, because `loadStateDict` throws, is given its own back as well, but need not take that either.
 */
export class StateChanges {
  readonly #target: Fields;
  readonly #saved: { readonly [name: string]: HostState };
  readonly #steps: { readonly name: string; readonly rollback: () => void | Promise<void> }[] = [];

  constructor(target: Fields, saved: HostState) {
    this.#target = target;
    this.#saved = isPlain(saved) ? saved : {};
  }

  /** Restores one name; what was not saved stays as it is. When it throws, this name is what it was before. */
  async restore(name: string): Promise<void> {
    if (!Object.hasOwn(this.#saved, name)) return;
    const before = this.#steps.length;
    try {
      await this.#put(this.#target, name, this.#saved[name], name, { isWhole: false });
    } catch (error) {
      await this.#rollbackTo(before, error);
      throw error;
    }
  }

  /**
   * Takes everything back, the last change first.
   *
   * @param reason Why, for the error.
   * @throws AggregateError of `reason` and of what prevented it, which names the state that could not be put back.
   */
  async rollback(reason: unknown): Promise<void> {
    await this.#rollbackTo(0, reason);
  }

  /**
   * @param isWhole Whether plain fields are replaced rather than filled, which they are unless a `Stateful` is among
   * them.
   */
  async #put(
    fields: Fields,
    key: string,
    value: HostState,
    name: string,
    { isWhole }: { readonly isWhole: boolean },
  ): Promise<void> {
    const current = fields[key];
    if (isStateful(current)) await this.#load(current, value, name);
    else if (isPlain(current) && isPlain(value) && (!isWhole || holdsStateful(current))) {
      for (const [inner, item] of Object.entries(value)) {
        await this.#put(current, inner, item, `${name}.${inner}`, { isWhole: true });
      }
    } else if (isWhole || !this.#fill(current, value, name)) this.#replace(fields, key, value, name);
  }

  async #load(current: Stateful, value: HostState, name: string): Promise<void> {
    const before = await copyOf(current);
    try {
      await current.loadStateDict(value);
    } catch (error) {
      await giveBack(current, before).catch(() => {});
      throw error;
    }
    this.#steps.push({
      name,
      rollback: () => giveBack(current, before),
    });
  }

  #fill(current: unknown, value: HostState, name: string): boolean {
    if (!isTypedArray(current) || !isTypedArray(value)) return false;
    if (current[Symbol.toStringTag] !== value[Symbol.toStringTag] || current.length !== value.length) {
      return false;
    }
    const before = bytesOf(current).slice();
    this.#steps.push({ name, rollback: () => bytesOf(current).set(before) });
    bytesOf(current).set(bytesOf(value));
    return true;
  }

  /** Sets one name to something that was not saved as it is. */
  set(name: string, value: unknown): void {
    this.#replace(this.#target, name, value, name);
  }

  #replace(fields: Fields, key: string, value: unknown, name: string): void {
    const isThere = Object.hasOwn(fields, key);
    const before = fields[key];
    fields[key] = value;
    this.#steps.push({
      name,
      rollback: () => {
        if (isThere) fields[key] = before;
        else delete fields[key];
      },
    });
  }

  async #rollbackTo(length: number, reason: unknown): Promise<void> {
    const lost: { readonly name: string; readonly problem: unknown }[] = [];
    for (const { name, rollback } of this.#steps.splice(length).reverse()) {
      try {
        await rollback();
      } catch (problem) {
        lost.push({ name, problem });
      }
    }
    if (lost.length === 0) return;
    const names = lost.map(({ name }) => `"${name}"`).join(", ");
    throw new AggregateError(
      [reason, ...lost.map(({ problem }) => problem)],
      `The load failed, and state that it had changed could not be put back: ${names}. ` +
        "The errors are of the load, and of each of those",
      { cause: reason },
    );
  }
}

/** What a `Stateful` was before, of which nothing is shared with it; or why that is not known. */
type Before = { readonly state: HostState } | { readonly problem: unknown };

async function giveBack(stateful: Stateful, before: Before): Promise<void> {
  if ("problem" in before) throw before.problem;
  await stateful.loadStateDict(before.state);
}

async function copyOf(stateful: Stateful): Promise<Before> {
  try {
    const { state, tensors } = freezeState(stateful.stateDict());
    const bytesByName = new Map(tensors.map(({ spec, bytes }) => [spec.name, { ...spec, bytes }]));
    return {
      state: await thawState(state, (name) => {
        const found = bytesByName.get(name);
        return found === undefined ? Promise.reject(new RangeError(name)) : Promise.resolve(found);
      }),
    };
  } catch (problem) {
    return { problem };
  }
}

function holdsStateful(fields: { readonly [key: string]: unknown }): boolean {
  return Object.values(fields).some((value) => isStateful(value) || (isPlain(value) && holdsStateful(value)));
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
