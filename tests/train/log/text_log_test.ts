import { describe, expect, test } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import type { Callback } from "../../../src/train/callbacks/callback.ts";
import { csvLog } from "../../../src/train/log/csv_log.ts";
import { jsonlLog } from "../../../src/train/log/jsonl_log.ts";
import { atEveryOperation, FaultStorage } from "../../helpers/fault_storage.ts";
import { WrappedStorage } from "../../helpers/wrapped_storage.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { readFile, writeFile } from "../../storage/storage_contract.ts";
import { lossOf, recordAt, SimulatedRun } from "./simulated_run.ts";

const END = 18;
const upTo = (end: number): number[] => Array.from({ length: end }, (_, index) => index + 1);

type Fields = Readonly<Record<string, unknown>>;

/** A kind of log, and how a reader of its files takes them. */
interface Kind {
  readonly name: string;
  readonly make: (storage: Storage) => Callback;
  readonly parse: (text: string) => Fields[];
}

const opened = (storage: Storage) => ({ storages: { test: () => storage }, now: () => 1000 });
const number = (text: string | undefined): number | null =>
  text === "nan" || text === "" || text === undefined ? null : Number(text);

const KINDS: readonly Kind[] = [
  {
    name: "jsonlLog",
    make: (storage) => jsonlLog("test://run/log", opened(storage)),
    parse: (text) => text.split("\n").slice(0, -1).map((line) => JSON.parse(line) as Fields),
  },
  {
    name: "csvLog",
    make: (storage) => csvLog("test://run/log", opened(storage)),
    parse: (text) => {
      const [header = "", ...lines] = text.split("\n").slice(0, -1);
      const columns = header.split(",");
      return lines.map((line): Fields => {
        const cells = line.split(",");
        const of = (name: string) => cells[columns.indexOf(name)];
        const kind = of("kind");
        const step = Number(of("step"));
        if (kind === "step") {
          return {
            kind,
            step,
            loss: number(of("loss")),
            rate: number(of("learning_rate")),
            terms: { a: number(of("a")) },
          };
        }
        const metrics = { loss: number(of("loss")), val_loss: number(of("val_loss")) };
        if (kind === "epoch" || kind === "validation") {
          return { kind, step, epoch: Number(of("epoch")), metrics };
        }
        if (kind === "save") {
          const times = { stallMs: number(of("stall_ms")), durationMs: number(of("duration_ms")) };
          return {
            kind,
            step,
            tag: of("tag"),
            ...times,
            bytes: number(of("bytes")),
            timeMs: number(of("time_ms")),
          };
        }
        return { kind, step, tag: of("tag") };
      });
    },
  },
];

/** What a log of a run of `END` steps has to say of steps and of what was measured, however often it was killed. */
function expectWhole(lines: readonly Fields[], seed = 0): void {
  const steps = lines.filter(({ kind }) => kind === "step");
  expect(steps).toEqual(
    upTo(END).map((step) => {
      const loss = lossOf(step - 1, seed);
      const terms = { a: Number(Math.fround(step - 1 + 0.1).toPrecision(7)) };
      return {
        kind: "step",
        step,
        loss: Number.isNaN(loss) ? null : expect.closeTo(loss, 7),
        rate: 0.5 / step,
        terms: { a: expect.closeTo(terms.a, 5) },
      };
    }),
  );
  const measured = lines.filter(({ kind }) => kind === "epoch" || kind === "validation");
  const expected = upTo(END).filter((step) => step % 5 === 0 || step % 3 === 0);
  expect(measured).toEqual(expected.map((step) => {
    return { kind: step % 5 === 0 ? "epoch" : "validation", ...recordAt(step) };
  }));
}

for (const { name, make, parse } of KINDS) {
  describe(name, () => {
    const read = async (storage: Storage): Promise<Fields[]> => parse(await readFile(storage, "log"));

    test("says every step, what was measured, saves with their stall, starts and the end", async () => {
      const storage = new MemoryStorage();
      await new SimulatedRun(make(storage)).train(END);
      const lines = await read(storage);
      expectWhole(lines);
      expect(lines.filter(({ kind }) => kind === "save")).toEqual([4, 8, 12, 16].map((step) => {
        return {
          kind: "save",
          step,
          tag: `step-${step}`,
          stallMs: 1.5,
          durationMs: 20,
          bytes: 100,
          timeMs: 1000,
        };
      }));
      expect(lines[0]).toMatchObject({ kind: "start", step: 0 });
      expect(lines.at(-1)).toMatchObject({ kind: "end", step: END });
    });

    test("has no step twice and misses none, whenever a process is killed and wherever it resumes", async () => {
      for (let killed = 0; killed < END; killed++) {
        for (let step = 0; step <= killed; step++) {
          const storage = new MemoryStorage();
          await new SimulatedRun(make(storage)).train(killed, { killed: true });
          await SimulatedRun.resumed(make(storage), step, Math.max(0, step - 3)).train(END);
          const lines = await read(storage);
          expectWhole(lines);
          // Saves of steps that are done again are told again.
          const saves = lines.filter(({ kind }) => kind === "save").map(({ step }) => step);
          expect(new Set(saves).size).toBe(saves.length);
          expect(lines.filter(({ kind }) => kind === "start")).toHaveLength(2);
        }
      }
    });

    test("is whole again after a resume, wherever a machine cut its file", async () => {
      const storage = new MemoryStorage();
      await new SimulatedRun(make(storage)).train(14, { killed: true });
      const whole = new TextEncoder().encode(await readFile(storage, "log"));
      for (let length = 0; length <= whole.length; length += 7) {
        const cut = new MemoryStorage();
        await writeFile(cut, "log", whole.subarray(0, length));
        await SimulatedRun.resumed(make(cut), 9, 6).train(END);
        expectWhole(await read(cut));
      }
    });

    test("is whole after a resume, whichever operation of the one before failed or was torn", async () => {
      for (const takesEffect of [false, true]) {
        const points = await atEveryOperation(async (at) => {
          const inner = new MemoryStorage();
          await new SimulatedRun(make(inner)).train(13, { killed: true });
          const faulty = new FaultStorage(inner);
          faulty.crashAt(at, { takesEffect });
          // It may fail to begin, or go on with a warning.
          await SimulatedRun.resumed(make(faulty), 7, 5).train(15).catch(() => undefined);
          await SimulatedRun.resumed(make(inner), 11, 11).train(END);
          expectWhole(await read(inner));
          return faulty;
        });
        expect(points).toBeGreaterThan(10);
      }
    });

    test("what cannot be written ends no training: it warns once, and the next one completes it", async () => {
      const inner = new MemoryStorage();
      const faulty = new FaultStorage(inner);
      const log = make(faulty);
      const run = new SimulatedRun(log);
      await run.train(5);
      faulty.failAt(faulty.operations.length + 8, "ENOSPC", { onward: true });
      await run.train(12);
      expect(run.warnings).toHaveLength(1);
      expect(run.warnings[0]).toContain('"test://run/log" is not written any more');
      faulty.heal();
      await run.train(END);
      expectWhole(await read(inner));
      expect(faulty.openHandles).toBe(0);
    });

    test("a log of another run is replaced, and so is that of a run that begins anew", async () => {
      const storage = new MemoryStorage();
      await new SimulatedRun(make(storage), 7).train(END);
      await SimulatedRun.resumed(make(storage), 9, 6).train(END);
      const lines = await read(storage);
      expectWhole(lines);
      expect(lines.filter(({ kind }) => kind === "start")).toHaveLength(1);
      await new SimulatedRun(make(storage), 3).train(END);
      expectWhole(await read(storage), 3);
    });

    test("a file that is something else is refused, and nothing of it is changed", async () => {
      const files = [
        "a,b\n1,2\n",
        "kind\n",
        "{}\n",
        "no end",
        '{"kind":"step"}\n',
        "\0\n",
        "kind,step\n1,2\n",
      ];
      for (const text of files) {
        const storage = new MemoryStorage();
        await writeFile(storage, "log", new TextEncoder().encode(text));
        const error = await thrownBy(() => new SimulatedRun(make(storage)).train(1)) as CairnError;
        expect([text, error.code, error.message.includes("test://run/log")]).toEqual([
          text,
          "invalid_file",
          true,
        ]);
        expect(await readFile(storage, "log")).toBe(text);
      }
    });

    test("a storage that cannot append is refused by its name", async () => {
      const bare = new WrappedStorage(new MemoryStorage());
      Object.defineProperty(bare, "openAppend", { value: undefined });
      const error = await thrownBy(() => new SimulatedRun(make(bare)).train(1)) as CairnError;
      expect(error.code).toBe("unsupported");
      expect(error.message).toContain(
        `${name}() cannot write to "memory:": its storage has no openAppend() and truncate()`,
      );
    });
  });
}

test("a path that names no file, or none at all, is refused where the log is made", async () => {
  expect(await thrownBy(() => jsonlLog(""))).toBeInstanceOf(TypeError);
  expect((await thrownBy(() => jsonlLog("gs://bucket/log"))).message).toContain("no storage for gs:");
  expect((await thrownBy(() => csvLog(7 as never))).message).toBe("csvLog() takes a path, found number");
});

test("csvLog refuses to go on with other columns, such as after a metric was added", async () => {
  const storage = new MemoryStorage();
  await new SimulatedRun(csvLog("test://run/log", opened(storage))).train(1);
  const text = await readFile(storage, "log");
  const other = new MemoryStorage();
  await writeFile(other, "log", new TextEncoder().encode(text.replace(",val_loss", ",val_accuracy")));
  const error = await thrownBy(() => new SimulatedRun(csvLog("test://run/log", opened(other))).train(1));
  expect(error.message).toContain('its first line is "kind,step,epoch,loss,');
  expect(error.message).toContain("Give another path");
});
