import type { BufferRange } from "../gpu/buffer_range.ts";
import { copyParts } from "../kernels/elementwise/copy.ts";
import { formatShape } from "../tensor/shape.ts";
import { type ProgramLowering, storageBytes } from "./lower_program.ts";
import { memoryOf } from "./kernel_steps.ts";
import { regionsOf } from "./memory_plan.ts";
import type { Binding, Region } from "./op.ts";
import type { Program, Store } from "./program.ts";
import type { Value } from "./value.ts";

/** Where a program's results are. */
export interface ResultPlan {
  /** Regions in memory of the caller: parameters, and what stores take. */
  readonly fixed: ReadonlyMap<Region, BufferRange>;
  readonly outputs: ReadonlyMap<string, OutputRegion>;
}

/** An output and where its elements are. */
export interface OutputRegion {
  readonly value: Value;
  readonly region: Region;
}

/**
 * Arranges for outputs to stay and for stores to be where the caller wants them, adding copy steps where it has to.
 *
 * Parameters are copied away first: a store or an update may overwrite them, and results are what they were before.
 */
export function planResults(program: Program, lowering: ProgramLowering): ResultPlan {
  const fixed = new Map(lowering.parameters);
  const stores = (program.stores ?? []).filter(({ value }) => storageBytes(value) > 0);
  stores.forEach(checkStore);
  checkApart(stores.map(({ into }) => into));
  const late = stores.filter(({ value, into }) => {
    const region = lowering.regionOf(value);
    if (!canBeComputedInto(region, into, lowering, fixed)) return true;
    fixed.set(region, { ...into, size: region.byteLength });
    return false;
  });
  const outputs = new Map(
    Object.entries(program.outputs).map(([name, value]) => {
      const region = lowering.regionOf(value);
      const isParameter = lowering.parameters.has(region);
      return [name, { value, region: isParameter ? copyAway(region, lowering) : region }];
    }),
  );
  const sources = late.map(({ value, into }) => {
    const region = lowering.regionOf(value);
    // One dispatch cannot read and write one buffer.
    const isInTheWay = lowering.parameters.has(region) || fixed.get(region)?.buffer === into.buffer;
    return isInTheWay ? copyAway(region, lowering) : region;
  });
  late.forEach(({ into }, index) => {
    const source = sources[index];
    if (source === undefined) return;
    const target = lowering.scratch(`store of ${source.label}`, source.byteLength);
    fixed.set(target, { ...into, size: target.byteLength });
    addCopy(source, target, lowering);
  });
  return { fixed, outputs };
}

/**
 * Whether the kernel that computes `region` may write it straight to `into`: nothing else is there until the run ends,
 * and no dispatch would have that buffer both to read and to write. (Stores do not overlap, so it may write two.)
 */
function canBeComputedInto(
  region: Region,
  into: BufferRange,
  lowering: ProgramLowering,
  fixed: ReadonlyMap<Region, BufferRange>,
): boolean {
  if (!lowering.computed.has(region) || fixed.has(region)) return false;
  if ([...lowering.parameters.values()].some((range) => overlap(range, into))) return false;
  return lowering.steps.every((step) => {
    const bound = regionsOf(step);
    const isFree = (other: Region): boolean =>
      fixed.get(other)?.buffer !== into.buffer || step.writes.includes(region) && step.writes.includes(other);
    return !bound.includes(region) || bound.every(isFree);
  });
}

function overlap(a: BufferRange, b: BufferRange): boolean {
  return a.buffer === b.buffer && a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

function copyAway(region: Region, lowering: ProgramLowering): Region {
  const copy = lowering.scratch(`copy of ${region.label}`, region.byteLength);
  addCopy(region, copy, lowering);
  return copy;
}

/** Copies bits. */
function addCopy(from: Region, to: Region, lowering: ProgramLowering): void {
  for (
    const dispatch of copyParts<Binding>({ input: from, out: to }, from.byteLength / 4, memoryOf(lowering))
  ) {
    lowering.add({ dispatch, writes: [to] }, to.label);
  }
}

/** Stores that overlap would leave what the order of copies happens to give. */
function checkApart(ranges: readonly BufferRange[]): void {
  const ends = new Map<GPUBuffer, number>();
  for (const { buffer, offset, size } of [...ranges].sort((a, b) => a.offset - b.offset)) {
    const end = ends.get(buffer) ?? 0;
    if (offset < end) {
      throw new TypeError(
        `Two stores overlap at byte ${offset} of buffer "${buffer.label}"; give each its own range`,
      );
    }
    ends.set(buffer, offset + size);
  }
}

function checkStore({ value, into }: Store): void {
  const needed = storageBytes(value);
  if (into.size >= needed && into.offset % 256 === 0) return;
  throw new TypeError(
    `A store of ${value.dtype} ${formatShape(value.shape)} needs ${needed} bytes at a multiple of 256; ` +
      `it was given ${into.size} bytes at ${into.offset}`,
  );
}
