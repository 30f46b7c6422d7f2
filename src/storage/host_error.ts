/** The code of an error of the host ("ENOENT"), or `""` when it has none. */
export function hostErrorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "";
}

/** An error as the host's file system would throw it. */
export function hostError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** Whether Deno refused the operation because a permission was not given to the program. */
export function isDeniedByDeno(error: unknown): boolean {
  return error instanceof Error && error.name === "NotCapable";
}

/** The result, or `undefined` when it failed with the host's error `code`. */
export async function unlessCode<T>(promise: Promise<T>, code: string): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (hostErrorCode(error) === code) return undefined;
    throw error;
  }
}
