import { describe, expect, test } from "bun:test";
import { CheckpointFiles } from "../../../../src/checkpoint/file/parts/checkpoint_files.ts";
import { partPath } from "../../../../src/checkpoint/file/parts/part_files.ts";
import { joinForRank } from "../../../../src/checkpoint/file/parts/rank_view.ts";
import { trailerChecksum } from "../../../../src/container/format/trailer.ts";
import type { TensorSpec } from "../../../../src/container/format/layout.ts";
import type { PartRecord, PartRole, RowShard } from "../../../../src/container/format/part_list.ts";
import { writeContainer } from "../../../../src/container/write/write_container.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import { writeFile } from "../../../storage/storage_contract.ts";
import { thrownBy } from "../../../helpers/thrown.ts";

interface ForgedPart {
  readonly tensors: readonly TensorSpec[];
  readonly role?: PartRole;
}

const MANIFEST = { kind: "tensors", state: {}, metrics: {}, provenance: {}, user: {} } as const;

/** A checkpoint whose parts say what no writer lets them say. Every file of it is sound. */
async function forged(parts: readonly ForgedPart[], isOfRanks = true): Promise<CheckpointFiles> {
  const storage = new MemoryStorage();
  await storage.makeDirectory("parts");
  const files: PartRecord[] = [];
  for (const [index, { tensors, role }] of parts.entries()) {
    const bytes = await writeContainer({
      tensors: tensors.map((spec) => ({
        spec,
        bytes: new Uint8Array(spec.aliasOf === undefined ? spec.shape.reduce((a, b) => a * b, 4) : 0),
      })),
      fileId: new Uint8Array(16).fill(index + 1),
      manifest: { ...MANIFEST, ...role === undefined ? {} : { part: role } },
    });
    const record: PartRecord = {
      name: `p${index}`,
      fileId: `0${index + 1}`.repeat(16),
      byteLength: bytes.byteLength,
      checksum: trailerChecksum(bytes.subarray(-128)),
      ...isOfRanks ? { rank: index } : {},
    };
    files.push(record);
    await writeFile(storage, partPath("", record), bytes);
  }
  const index = await writeContainer({
    tensors: [],
    fileId: new Uint8Array(16).fill(99),
    manifest: { ...MANIFEST, parts: isOfRanks ? { worldSize: parts.length, files } : { files } },
  });
  await writeFile(storage, "a.cairn", index);
  return await CheckpointFiles.open(storage, "a.cairn");
}

function tensor(name: string, shape: readonly number[] = [2, 3], aliasOf?: string): TensorSpec {
  return { name, dtype: "f32", shape, ...aliasOf === undefined ? {} : { aliasOf } };
}

function rows(start: number, end: number, total = 4, name = "a"): PartRole {
  const shard: RowShard = { start, end, rows: total };
  return { replicated: [], sharded: { [name]: shard } };
}

const REPLICATED: PartRole = { replicated: ["a"], sharded: {} };

describe("files that are sound and do not go together", () => {
  const cases: Record<string, { parts: ForgedPart[]; isOfRanks?: boolean; says: string }> = {
    "a tensor in two parts": {
      parts: [{ tensors: [tensor("a")] }, { tensors: [tensor("a")] }],
      isOfRanks: false,
      says: 'The tensor "a" is in two of its files',
    },
    "a replicated tensor twice": {
      parts: [{ tensors: [tensor("a")], role: REPLICATED }, { tensors: [tensor("a")], role: REPLICATED }],
      says: "is in two of its files",
    },
    "a tensor that is replicated and a rank's own": {
      parts: [{ tensors: [tensor("a")], role: REPLICATED }, { tensors: [tensor("a")] }],
      says: "is a rank's own tensor and also in another file",
    },
    "a tensor that is cut and a rank's own": {
      parts: [{ tensors: [tensor("a")], role: rows(0, 2) }, { tensors: [tensor("a")] }],
      says: "is a rank's own tensor and also in another file",
    },
    "a tensor that is whole and cut": {
      parts: [{ tensors: [tensor("a")], role: REPLICATED }, { tensors: [tensor("a")], role: rows(2, 4) }],
      says: "is cut among ranks and also whole",
    },
    "rows that nobody has": {
      parts: [{ tensors: [tensor("a", [1, 3])], role: rows(0, 1) }, {
        tensors: [tensor("a")],
        role: rows(2, 4),
      }],
      says: "lacks the rows 1 to 2",
    },
    "last rows that nobody has": {
      parts: [{ tensors: [tensor("a")], role: rows(0, 2) }],
      says: "lacks the rows 2 to 4",
    },
    "rows that two have": {
      parts: [{ tensors: [tensor("a")], role: rows(0, 2) }, {
        tensors: [tensor("a", [3, 3])],
        role: rows(1, 4),
      }],
      says: "has the rows 1 to 2 twice",
    },
    "other rows than it says": {
      parts: [{ tensors: [tensor("a", [3, 3])], role: rows(0, 4) }],
      says: "has a shard of 3 rows, expected 4",
    },
    "shards of other widths": {
      parts: [{ tensors: [tensor("a")], role: rows(0, 2) }, {
        tensors: [tensor("a", [2, 4])],
        role: rows(2, 4),
      }],
      says: "has shards of different forms",
    },
    "shards of other numbers of rows": {
      parts: [{ tensors: [tensor("a")], role: rows(0, 2) }, { tensors: [tensor("a")], role: rows(2, 4, 5) }],
      says: "has shards of different forms",
    },
    "a scalar in rows": {
      parts: [{ tensors: [tensor("a", [])], role: rows(0, 0, 0) }],
      says: "has a shard of undefined rows, expected 0",
    },
    "a tied tensor of which some rows are missing": {
      parts: [
        { tensors: [tensor("a"), tensor("b", [2, 3], "a")], role: rows(0, 2) },
        { tensors: [tensor("a")], role: rows(2, 4) },
      ],
      says: '"b" lacks the rows 2 to 4',
    },
    "sizes that are too large together": {
      parts: [0, 1].map((index) => ({
        tensors: [tensor("a", [2 ** 50, 0])],
        role: rows(index * 2 ** 50, (index + 1) * 2 ** 50, 2 ** 51),
      })),
      says: "Its files do not belong together",
    },
  };
  for (const [what, { parts, isOfRanks = true, says }] of Object.entries(cases)) {
    test(`are refused: ${what}`, async () => {
      const files = await forged(parts, isOfRanks);
      const error = await thrownBy(() => joinForRank(files));
      expect<unknown>([error.code, error.message]).toEqual([
        "invalid_container",
        expect.stringContaining(says),
      ]);
      await files.close();
    });
  }

  test("a part that is an index itself is refused", async () => {
    const files = await forged([{ tensors: [tensor("a")] }], false);
    await files.close();
    const storage = new MemoryStorage();
    await storage.makeDirectory("parts");
    const list = { files: [{ name: "p", fileId: "01".repeat(16), byteLength: 9999, checksum: 1 }] };
    const inner = await writeContainer({
      tensors: [],
      fileId: new Uint8Array(16).fill(1),
      manifest: { ...MANIFEST, parts: list },
    });
    const record = {
      name: "p",
      fileId: "01".repeat(16),
      byteLength: inner.byteLength,
      checksum: trailerChecksum(inner.subarray(-128)),
    };
    await writeFile(storage, partPath("", record), inner);
    const index = await writeContainer({
      tensors: [],
      fileId: new Uint8Array(16).fill(2),
      manifest: { ...MANIFEST, parts: { files: [record] } },
    });
    await writeFile(storage, "a.cairn", index);
    expect((await thrownBy(() => CheckpointFiles.open(storage, "a.cairn"))).code).toBe("invalid_container");
  });
});
