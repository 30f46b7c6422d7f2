import { DurableFile } from "../../../src/storage/durable_file.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { randomNumbers } from "../../container/samples.ts";
import { CrashStorage, type InPieces } from "../../helpers/crash_storage.ts";
import { atEveryOperation, FaultStorage } from "../../helpers/fault_storage.ts";
import type { Campaign } from "../campaign.ts";

type Protocol = (storage: Storage, content: Uint8Array) => Promise<void>;

const OLD = new Uint8Array(5000).fill(1);
const NEW = new Uint8Array(5000).fill(2);

async function put(storage: Storage, path: string, content: Uint8Array, isSynced: boolean): Promise<void> {
  const writer = await storage.createExclusive(path);
  for (const part of [content.subarray(0, 4096), content.subarray(4096)]) {
    for (let at = 0; at < part.byteLength;) at += await writer.write(part.subarray(at));
  }
  if (isSynced) await writer.sync();
  await writer.close();
}

interface Candidate {
  readonly isGood: boolean;
  readonly save: Protocol;
  readonly inPieces?: InPieces;
}

const IN_PIECES: InPieces = { blockBytes: 1024, pieceBytes: 2048 };

/** What other systems do, and what ours does. */
const PROTOCOLS: Record<string, Candidate> = {
  "in place": {
    isGood: false,
    save: async (storage, content) => {
      await storage.remove("a");
      await put(storage, "a", content, true);
      await storage.syncDirectory("");
    },
  },
  "temporary file and rename, nothing synced": {
    isGood: false,
    save: async (storage, content) => {
      await put(storage, ".tmp-a", content, false);
      await storage.move(".tmp-a", "a");
    },
  },
  "file synced, directory not": {
    isGood: false,
    save: async (storage, content) => {
      await put(storage, ".tmp-a", content, true);
      await storage.move(".tmp-a", "a");
    },
  },
  "deleted, then renamed": {
    isGood: false,
    save: async (storage, content) => {
      await put(storage, ".tmp-a", content, true);
      await storage.remove("a");
      await storage.syncDirectory("");
      await storage.move(".tmp-a", "a");
      await storage.syncDirectory("");
    },
  },
  "file synced in pieces, and not at its end": {
    isGood: false,
    inPieces: IN_PIECES,
    save: async (storage, content) => {
      await put(storage, ".tmp-a", content, false);
      await storage.move(".tmp-a", "a");
      await storage.syncDirectory("");
    },
  },
  "ours (DurableFile)": { isGood: true, save: saveOurs },
  "ours (DurableFile), synced in pieces": { isGood: true, inPieces: IN_PIECES, save: saveOurs },
};

async function saveOurs(storage: Storage, content: Uint8Array): Promise<void> {
  const file = await DurableFile.create(storage, "a", { overwrite: true, randomName: "new" });
  for (const part of [content.subarray(0, 4096), content.subarray(4096)]) await file.write(part);
  await file.commit({ verify: true });
}

/** Before anything else the harness has to find what is wrong with protocols that are known to be wrong. */
export async function knownBad(campaign: Campaign): Promise<void> {
  await campaign.row("A0", "the harness finds five known-bad protocols, and none in ours", async (row) => {
    for (const [name, candidate] of Object.entries(PROTOCOLS)) {
      const { isGood } = candidate;
      const { images, broken, lost } = await failuresOf(candidate);
      row.point(images);
      row.note(
        `${name}: of ${images} disks ${broken} without the old or the new file, ${lost} without a committed one`,
      );
      if (isGood !== (broken + lost === 0)) row.fail(`${name} is taken for ${isGood ? "bad" : "good"}`);
    }
  });
}

async function failuresOf(
  { save, inPieces }: Candidate,
): Promise<{ images: number; broken: number; lost: number }> {
  const counts = { images: 0, broken: 0, lost: 0 };
  const random = randomNumbers(1);
  await atEveryOperation(async (at) => {
    const disk = await CrashStorage.from(new Map([["a", OLD]]), inPieces);
    const storage = new FaultStorage(disk);
    storage.crashAt(at);
    const isCommitted = await save(storage, NEW).then(() => true, () => false);
    for (const model of ["ordered", "weak"] as const) {
      for (const image of disk.images(model, 256, random)) {
        counts.images++;
        const found = image.get("a");
        const isOld = found !== undefined && Buffer.compare(found, OLD) === 0;
        const isNew = found !== undefined && Buffer.compare(found, NEW) === 0;
        if (!isOld && !isNew) counts.broken++;
        else if (isCommitted && !isNew) counts.lost++;
      }
    }
    return storage;
  });
  return counts;
}
