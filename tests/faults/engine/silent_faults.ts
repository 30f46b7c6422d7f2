import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { type FakeCopy, FakeDevice, type FakeMapping } from "../../helpers/fake_device.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { DeviceRun, recoveredStep } from "./device_runs.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn } from "./runs.ts";

/**
 * How a driver changes bytes silently while a save is under way. `turn` counts the mappings of that save,
 * from 0.
 */
interface SilentFault {
  readonly name: string;
  readonly onMap?: (mapping: FakeMapping, turn: number) => void;
  readonly onCopy?: (copy: FakeCopy) => boolean | void;
}

const WORD = 4;

/** Faults that have to be found out: the save fails, and nothing is committed. */
const DETECTED: readonly SilentFault[] = [
  { name: "every read-back gives zeros", onMap: ({ bytes }) => void bytes.fill(0) },
  { name: "every read-back gives what it gave before", onMap: ({ bytes, before }) => bytes.set(before) },
  { name: "no copy to the shadow memory is done", onCopy: ({ target }) => !target.startsWith("shadow") },
  { name: "no copy to the staging memory is done", onCopy: ({ target }) => !target.startsWith("read-back") },
  { name: "the bytes of every word are swapped", onMap: ({ bytes }) => swapBytes(bytes) },
  { name: "everything is a word late", onMap: ({ bytes }) => void bytes.copyWithin(WORD, 0) },
  { name: "every copy lacks its last word", onCopy: ({ bytes }) => void bytes.fill(0, -WORD) },
  { name: "one word of the canary is flipped", onCopy: flipCanary },
];

/**
 * Faults in the tensors alone, which a pattern beside them cannot show. That takes a checksum that the GPU makes of
 * the tensors themselves, to be compared with what the host reads. Until there is one they are only counted.
 */
const IN_TENSORS_ALONE: readonly SilentFault[] = [
  { name: "one bit of one tensor is flipped on its way to the host", onMap: flipOnce },
  {
    name: "one staging buffer of several gives zeros",
    onMap: ({ bytes }, turn) => void (turn === 0 && bytes.fill(0)),
  },
  {
    name: "the copies of the tensors stop half way",
    onCopy: ({ source, bytes }) => {
      if (/^(model|optimizer)/.test(source)) bytes.fill(0, bytes.byteLength >> 1);
    },
  },
];

/** Row J3: a GPU that gives wrong bytes and says that all is well. */
export async function silentFaults(campaign: Campaign, outcome: Outcome): Promise<void> {
  await campaign.row("J3", "a made-up device gives other bytes than were copied", async (row) => {
    for (const isCpu of [false, true]) {
      for (const fault of DETECTED) {
        row.point();
        const committed = await saveUnder(fault, isCpu, row, outcome);
        if (committed !== undefined) row.fail(`${fault.name}: it was committed`);
      }
    }
    const unnoticed = await unnoticedFaults(row, outcome);
    if (unnoticed.length > 0) {
      row.note(`not found out, for want of a checksum on the GPU: ${unnoticed.join("; ")}`);
    }
  });
}

/** Names of the faults in the tensors alone that a checkpoint was committed with. */
export async function unnoticedFaults(row: RowRecorder, outcome: Outcome): Promise<string[]> {
  const unnoticed: string[] = [];
  for (const fault of IN_TENSORS_ALONE) {
    if (await saveUnder(fault, false, row, outcome) === "mixed") unnoticed.push(fault.name);
  }
  return unnoticed;
}

/**
 * Saves step 2 under the fault, and then step 3 without. Gives what was committed as step 2; `undefined` for nothing.
 */
async function saveUnder(
  { name, onMap, onCopy }: SilentFault,
  isCpu: boolean,
  row: RowRecorder,
  outcome: Outcome,
): Promise<number | "mixed" | undefined> {
  const storage = new MemoryStorage();
  const engine = await engineOn(storage);
  const fake = new FakeDevice({ isCpu });
  const run = await DeviceRun.open(fake.device, engine);
  run.become(1);
  await run.save(1);
  run.become(2);
  let turn = 0;
  let changes = 0;
  if (onMap !== undefined) {
    fake.onMap = (mapping) => {
      const before = mapping.bytes.slice();
      onMap(mapping, turn++);
      if (differs(before, mapping.bytes)) changes++;
    };
  }
  if (onCopy !== undefined) {
    fake.onCopy = (copy) => {
      const before = copy.bytes.slice();
      const isDone = onCopy(copy) ?? true;
      if (!isDone || differs(before, copy.bytes)) changes++;
      return isDone;
    };
  }
  const end = await run.save(2);
  fake.onMap = undefined;
  fake.onCopy = undefined;
  if (changes === 0) row.fail(`${name}: nothing was changed`);
  const committed = await recoveredStep(await engineOn(storage));
  if (end !== "committed") {
    if (end !== "gpu_validation") row.fail(`${name}: ended with ${end}`);
    if (committed !== 1) {
      outcome.lost++;
      row.fail(`${name}: ${committed} was recovered`);
    }
  }
  run.become(3);
  const next = await run.save(3);
  if (next !== "committed" || await recoveredStep(await engineOn(storage)) !== 3) {
    row.fail(`${name}: the next save ends with ${next}`);
  }
  const left = await run.close(() => fake.live);
  if (left.length > 0) row.fail(`${name}: ${left} are left on the device`);
  return end === "committed" ? committed : undefined;
}

function swapBytes(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.byteLength; at += WORD) bytes.subarray(at, at + WORD).reverse();
}

function flipCanary({ source, bytes }: FakeCopy): void {
  if (source === "canary") bytes[100] = (bytes[100] ?? 0) ^ 1;
}

function flipOnce({ bytes }: FakeMapping, turn: number): void {
  if (turn === 0) bytes[10] = (bytes[10] ?? 0) ^ 1;
}

function differs(before: Uint8Array, after: Uint8Array): boolean {
  return before.some((byte, index) => byte !== after[index]);
}
