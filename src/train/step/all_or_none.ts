/**
 * What all of `making` give; or the first error in their order, after `free` was called with what the others gave.
 */
export async function allOrNone<Made>(
  making: readonly Promise<Made>[],
  free: (made: Made) => void,
): Promise<Made[]> {
  const outcomes = await Promise.allSettled(making);
  const made = outcomes.flatMap((outcome) => outcome.status === "fulfilled" ? [outcome.value] : []);
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed === undefined) return made;
  made.forEach(free);
  throw failed.reason;
}
