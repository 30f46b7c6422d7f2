import type { NamePattern, RenameRule } from "../../base/name_pattern.ts";
import type { OptionNames } from "../../base/options/options.ts";
import { FIT_OPTIONS, type FitOptions } from "./tensor_fit.ts";

/** Which tensors of a file are loaded, under which names, and how those are made to fit that differ. */
export interface PartialLoadOptions extends FitOptions {
  /**
   * Tensors to load, by their names in the store; all of them unless given. The others are neither loaded nor missed.
   */
  readonly only?: readonly NamePattern[] | undefined;
  /** Tensors to leave as they are, by their names in the store. They are not missed. */
  readonly exclude?: readonly NamePattern[] | undefined;
  /** How the file's names become those of the store: by the first rule that matches. */
  readonly rename?: readonly RenameRule[] | undefined;
  /**
   * Only report what a load would do, even where `strict` would refuse it. No data is read and nothing changes.
   * Default false.
   */
  readonly dryRun?: boolean | undefined;
}

/** Every option of {@link PartialLoadOptions}. */
export const PARTIAL_LOAD_OPTIONS: OptionNames<PartialLoadOptions> = {
  ...FIT_OPTIONS,
  only: true,
  exclude: true,
  rename: true,
  dryRun: true,
};
