import { alignUp } from "../base/checked.ts";
import { item, type Region, regionOf, type Step } from "./op.ts";

/** Where a region is: bytes `offset` and following of buffer number `arena`. */
export interface ArenaAddress {
  readonly arena: number;
  readonly offset: number;
}

/** The addresses of regions, and the sizes of the buffers that they need. */
export interface MemoryPlan {
  readonly addresses: ReadonlyMap<Region, ArenaAddress>;
  readonly arenaBytes: readonly number[];
}

/** Every adapter can bind storage at multiples of this. */
const OFFSET_ALIGNMENT = 256;

/**
 * Gives `regions` addresses in as few and as small buffers as a simple greedy rule finds.
 *
 * Two regions share bytes when no step needs both: a region lives from the first to the last step that binds it, or,
 * when it is `kept`, to the end. A region that a step writes is in another buffer than all others that the step binds,
 * since WebGPU forbids a buffer that is both read and written in one dispatch; hence several arenas rather than one
 * workspace. Regions that are not to be placed (`regions` leaves them out) may occur in steps. The same arguments give
 * the same plan.
 */
export function planMemory(
  regions: readonly Region[],
  steps: readonly Step[],
  kept: ReadonlySet<Region>,
  maxArenaBytes: number,
): MemoryPlan {
  const spans = spansOf(regions, steps, kept);
  const colors = colorsOf(spans, steps);
  const arenas: Arena[] = [];
  const addresses = new Map<Region, ArenaAddress>();
  // The largest first: small ones then fill the holes.
  const bySize = [...spans].sort((a, b) => b.region.byteLength - a.region.byteLength || a.first - b.first);
  for (const span of bySize) {
    const color = colors.get(span.region) ?? 0;
    let arena = arenas.find((candidate) =>
      candidate.color === color && candidate.offsetFor(span) !== undefined
    );
    if (arena === undefined) {
      arena = new Arena(arenas.length, color, maxArenaBytes);
      arenas.push(arena);
    }
    addresses.set(span.region, { arena: arena.index, offset: arena.put(span) });
  }
  return { addresses, arenaBytes: arenas.map((arena) => arena.byteLength) };
}

/**
 * The most bytes of `regions` that live at one time, as in {@link planMemory}: no plan for the same order of steps
 * takes less.
 */
export function leastBytes(
  regions: readonly Region[],
  steps: readonly Step[],
  kept: ReadonlySet<Region>,
): number {
  // What begins to live with a step, less what ended with the step before.
  const changes = new Array<number>(steps.length + 2).fill(0);
  for (const { region: { byteLength }, first, last } of spansOf(regions, steps, kept)) {
    changes[first] = item(changes, first) + byteLength;
    changes[last + 1] = item(changes, last + 1) - byteLength;
  }
  let living = 0;
  return changes.reduce((most, change) => Math.max(most, living += change), 0);
}

/** A region with the first and the last step that needs it. */
interface Span {
  readonly region: Region;
  readonly first: number;
  readonly last: number;
}

function spansOf(regions: readonly Region[], steps: readonly Step[], kept: ReadonlySet<Region>): Span[] {
  const first = new Map<Region, number>();
  const last = new Map<Region, number>();
  steps.forEach((step, index) => {
    for (const region of regionsOf(step)) {
      if (!first.has(region)) first.set(region, index);
      last.set(region, index);
    }
  });
  return regions
    .map((region) => ({
      region,
      first: first.get(region) ?? 0,
      last: kept.has(region) ? steps.length : last.get(region) ?? 0,
    }))
    .sort((a, b) => a.first - b.first || a.region.id - b.region.id);
}

/** For each region, in order of first use, the lowest number of none that it may not share a buffer with. */
function colorsOf(spans: readonly Span[], steps: readonly Step[]): Map<Region, number> {
  const apart = new Map<Region, Set<Region>>(spans.map(({ region }) => [region, new Set()]));
  for (const step of steps) {
    for (const written of step.writes) {
      for (const other of regionsOf(step)) {
        if (other === written) continue;
        apart.get(written)?.add(other);
        apart.get(other)?.add(written);
      }
    }
  }
  const colors = new Map<Region, number>();
  for (const { region } of spans) {
    const taken = new Set([...apart.get(region) ?? []].map((other) => colors.get(other)));
    let color = 0;
    while (taken.has(color)) color += 1;
    colors.set(region, color);
  }
  return colors;
}

/** The regions that a step binds. */
export function regionsOf(step: Step): Region[] {
  return step.dispatch.bindings.flatMap((binding) => regionOf(binding) ?? []);
}

/** One buffer, while it is filled. */
class Arena {
  readonly index: number;
  readonly color: number;
  readonly #maxBytes: number;
  readonly #placed: { readonly span: Span; readonly offset: number; readonly end: number }[] = [];
  #byteLength = 0;

  constructor(index: number, color: number, maxBytes: number) {
    this.index = index;
    this.color = color;
    this.#maxBytes = maxBytes;
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  /** The lowest offset where nothing lives at the same time; `undefined` when the buffer is too small. */
  offsetFor(span: Span): number | undefined {
    const { byteLength } = span.region;
    let offset = 0;
    for (const other of this.#placed) {
      if (other.span.last < span.first || span.last < other.span.first) continue;
      if (offset + byteLength <= other.offset) break;
      offset = Math.max(offset, other.end);
    }
    // An empty arena takes anything: that it is too large is for the device to say.
    return this.#placed.length === 0 || offset + byteLength <= this.#maxBytes ? offset : undefined;
  }

  put(span: Span): number {
    const offset = this.offsetFor(span) ?? 0;
    const end = alignUp(offset + span.region.byteLength, OFFSET_ALIGNMENT);
    const before = this.#placed.findIndex((other) => other.offset > offset);
    this.#placed.splice(before < 0 ? this.#placed.length : before, 0, { span, offset, end });
    this.#byteLength = Math.max(this.#byteLength, end);
    return offset;
  }
}

/** Puts `regions` one after another into buffers of at most `maxArenaBytes`, for memory that is not shared. */
export function planSideBySide(regions: readonly Region[], maxArenaBytes: number): MemoryPlan {
  const arenaBytes: number[] = [];
  const addresses = new Map<Region, ArenaAddress>();
  for (const region of regions) {
    const last = arenaBytes.length - 1;
    const fits = last >= 0 && item(arenaBytes, last) + region.byteLength <= maxArenaBytes;
    if (!fits) arenaBytes.push(0);
    const arena = arenaBytes.length - 1;
    const offset = item(arenaBytes, arena);
    addresses.set(region, { arena, offset });
    arenaBytes[arena] = alignUp(offset + region.byteLength, OFFSET_ALIGNMENT);
  }
  return { addresses, arenaBytes };
}
