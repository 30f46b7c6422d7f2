import { isPromise, kindOf } from "./kind_of.ts";
import { nearestName } from "./nearest_name.ts";

/**
 * Every option of the interface `T`. One stands beside each interface of options: an option that is added to the one
 * and not to the other does not type-check, so that no option is refused that exists, and none accepted that nobody
 * reads.
 */
export type OptionNames<T> = Readonly<Record<keyof T, true>>;

/** `T` with every option given: what is left when defaults stand in for those that were not. */
export type Given<T> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> };

/**
 * `options`, whose every name is one of `names`. To be called once where a caller hands its options over, before
 * anything is done with them.
 *
 * @param caller Such as `train()`, for the message.
 * @param example What to write, such as `{ epochs: 10 }`. Default: the names.
 * @throws TypeError for a name that the caller does not have, which says the one that was meant; and for anything that
 * is no object of options: null, a number, an array, a `Map`, a promise.
 */
export function checkOptions<T extends object>(
  caller: string,
  options: T,
  names: OptionNames<T>,
  example?: string,
): T {
  requireObject(caller, options, () => example ?? `{ ${Object.keys(names).join(", ")} }`);
  // What is inherited counts as well: `Object.create(defaults)` is an object of options too.
  for (const name in options) {
    if (!Object.hasOwn(names, name)) throw unknownOption(caller, name, Object.keys(names));
  }
  return options;
}

/**
 * The part of checked `options` that another function takes: those that are in `names`.
 */
export function pickOptions<T extends object>(options: T, names: OptionNames<T>): T {
  const picked = {} as T;
  for (const name in options) {
    if (Object.hasOwn(names, name)) picked[name] = options[name];
  }
  return picked;
}

function requireObject(caller: string, options: unknown, example: () => string): void {
  if (isPromise(options)) {
    throw new TypeError(`${caller} takes options like ${example()}, found a promise; await it first`);
  }
  if (typeof options === "object" && options !== null) {
    const tag = Object.prototype.toString.call(options);
    // A module's exports are options too: `import * as settings from "./settings.ts"`.
    if (tag === "[object Object]" || tag === "[object Module]") return;
  }
  throw new TypeError(`${caller} takes options like ${example()}, found ${kindOf(options)}`);
}

function unknownOption(caller: string, name: string, names: readonly string[]): TypeError {
  const meant = nearestName(name, names);
  const advice = meant === undefined
    ? names.length === 0 ? "it has none" : `it has ${listed(names)}`
    : `did you mean "${meant}"?`;
  return new TypeError(`${caller} has no option ${JSON.stringify(name)}; ${advice}`);
}

function listed(names: readonly string[]): string {
  if (names.length < 2) return names.join();
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
