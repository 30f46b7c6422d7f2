import { expect, test } from "bun:test";
import { Reports } from "../../src/mpi/reports.ts";
import type { Report } from "../../src/mpi/thread/protocol.ts";

const numbered = (id: number): Report => ({ op: "taken", id, by: 0 });

test("what the thread says before somebody listens is heard, in its order, and then what it says later", async () => {
  const reports = new Reports();
  for (const id of [0, 1, 2]) reports.add(numbered(id));
  expect(await reports.first).toEqual(numbered(0));
  const heard: Report[] = [];
  reports.hear((report) => heard.push(report));
  reports.add(numbered(3));
  expect(heard).toEqual([1, 2, 3].map(numbered));
});
