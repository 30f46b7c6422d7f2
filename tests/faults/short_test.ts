import { describe, expect, test } from "bun:test";
import { Campaign } from "./campaign.ts";
import { truncation } from "./container/truncation.ts";
import { bombs } from "./container/bombs.ts";
import { aborts } from "./engine/aborts.ts";
import { crashes } from "./engine/crashes.ts";
import { ioErrors } from "./engine/io_errors.ts";
import { knownBad } from "./engine/known_bad.ts";
import { Outcome } from "./engine/outcome.ts";
import { paths } from "./engine/paths.ts";

// The short tier of `npm run faults`: the rows that take no more than a second.

async function failuresOf(work: (campaign: Campaign) => Promise<void>, rows: string[]): Promise<string[]> {
  const campaign = new Campaign("short", rows);
  await work(campaign);
  expect(campaign.rows.length).toBeGreaterThan(0);
  expect(campaign.totals.points).toBeGreaterThan(0);
  return campaign.rows.flatMap(({ failures }) => failures);
}

describe("the fault campaigns", () => {
  test("find what is wrong with four known-bad protocols, and nothing in ours (A0)", async () => {
    expect(await failuresOf(knownBad, ["A0"])).toEqual([]);
  });

  test("lose and mix nothing at a power cut anywhere in a first save (A1)", async () => {
    const outcome = new Outcome();
    expect(await failuresOf((campaign) => crashes(campaign, outcome), ["A1"])).toEqual([]);
    expect(outcome.images.size).toBeGreaterThan(200);
    expect([outcome.lost, outcome.mixed]).toEqual([0, 0]);
  });

  test("stand short writes, failed syncs and bad reads (B2, B3, B5)", async () => {
    expect(await failuresOf((campaign) => ioErrors(campaign, new Outcome()), ["B2", "B3", "B5"])).toEqual([]);
  });

  test("stand an abort at every operation (K1)", async () => {
    expect(await failuresOf(aborts, ["K1"])).toEqual([]);
  });

  test("refuse hostile tags, links, pipes and devices (D1, D2)", async () => {
    expect(await failuresOf(paths, ["D1", "D2"])).toEqual([]);
  });

  test("refuse every truncation, extension, polyglot and bomb of every codec (F1, I1)", async () => {
    expect(await failuresOf(truncation, ["F1"])).toEqual([]);
    expect(await failuresOf(bombs, ["I1"])).toEqual([]);
  });

  test("count a row that injects nothing, and one that throws, as failed", async () => {
    const campaign = new Campaign("itself");
    await campaign.row("X1", "nothing", () => Promise.resolve());
    await campaign.row("X2", "throws", () => Promise.reject(new Error("broken")));
    await campaign.row("X3", "fails", (row) => {
      row.point();
      row.fail("this");
      return Promise.resolve();
    });
    expect(campaign.totals).toEqual({ points: 1, failures: 3 });
  });
});
