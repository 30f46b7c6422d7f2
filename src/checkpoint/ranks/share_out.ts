/**
 * Shares out what has a name and a size among ranks: each goes to the rank that has the least so far, the largest ones
 * first. Whoever asks for the same gets the same.
 *
 * @param load What each rank has before. What it gets is added.
 * @returns The rank by the name.
 */
export function shareOut(
  sizes: Iterable<readonly [name: string, size: number]>,
  load: number[],
): Map<string, number> {
  const largestFirst = [...sizes].sort(([a, size], [b, other]) => other - size || (a < b ? -1 : 1));
  return new Map(largestFirst.map(([name, size]) => {
    const rank = load.indexOf(Math.min(...load));
    load[rank] = (load[rank] ?? 0) + size;
    return [name, rank];
  }));
}
