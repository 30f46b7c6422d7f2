/** Bytes of a bundled script, compressed. */
export interface BundleSize {
  /** Of the files that are loaded before the script runs. */
  readonly atFirst: number;
  /** And of those that it imports when it needs them. */
  readonly all: number;
}

/** Bundles a script whose imports are resolved as in a project that has the built package. */
export function bundleSize(code: string): Promise<BundleSize>;
