/** What `work` throws or rejects with; fails when it does neither. */
export async function thrownBy(work: () => unknown): Promise<Error & { code?: unknown; details?: unknown }> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error(`expected an Error to be thrown, but it was ${String(error)}`);
  }
  throw new Error("expected an error to be thrown, but there was none");
}
