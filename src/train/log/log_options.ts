import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { Storages } from "../../storage/open_storage.ts";

/** Options of every log. */
export interface LogOptions {
  /** Storages by the scheme of their locations. They have to be able to append to a file and to cut it. */
  readonly storages?: Storages | undefined;
  /** What the callback is called. Default: the function's name and the path. */
  readonly name?: string | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** Every option of {@link LogOptions}. */
export const LOG_OPTIONS: OptionNames<LogOptions> = { storages: true, name: true, now: true };

/** With nothing left to be guessed. */
export function logSettings(
  what: string,
  path: string | URL,
  options: LogOptions,
): { readonly storages: Storages; readonly name: string; readonly now: () => number } {
  checkOptions(`${what}()`, options, LOG_OPTIONS);
  if (typeof path !== "string" && !(path instanceof URL)) {
    throw new TypeError(`${what}() takes a path, found ${path === null ? "null" : typeof path}`);
  }
  const { storages = {}, name = `${what} ${path}`, now = Date.now } = options;
  return { storages, name, now };
}
