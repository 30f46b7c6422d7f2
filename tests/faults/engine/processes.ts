import { join } from "node:path";
import process from "node:process";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { randomNumbers } from "../../container/samples.ts";
import { type ChildEnd, hasProgram, isPermitted, runChild, runtimeCommand } from "../../helpers/child.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";
import { stepOfState } from "./runs.ts";
import { inFolder } from "../../helpers/in_folder.ts";

const TIMER_KILLS = Number(process.env.CAIRN_TIMER_KILLS ?? 190);
const PAIRS = 25;
const MOST_PER_CALL = 40;
/** Most calls of these are the runtime's own at its start; every so many are tried. */
const SYSTEM_CALLS: readonly (readonly [names: string, stride: number])[] = [
  ["fsync,fdatasync", 1],
  ["rename,renameat,renameat2", 1],
  ["link,linkat", 1],
  ["unlink,unlinkat", 1],
  ["mkdir,mkdirat", 1],
  ["write,pwrite64,writev,pwritev", 3],
  ["openat", 11],
];

const CHILD = runtimeCommand(new URL("./child.ts", import.meta.url));

/** Rows A5, B4 and C1 with real processes, real kills and a really full disk. */
export async function realProcesses(campaign: Campaign, outcome: Outcome): Promise<void> {
  await inFolder(async (folder) => {
    await campaign.row("A5", "SIGKILL at a random moment of a training that saves", async (row) => {
      await killByTimer(folder, row, outcome);
    });
  });
  if (!hasProgram("strace") || !isPermitted("strace", ["-f", "-o", "/dev/null", "true"])) {
    campaign.skip("A5 SIGKILL at system calls: strace is missing or not permitted");
  } else {
    for (const [names, stride] of SYSTEM_CALLS) {
      await inFolder(async (folder) => {
        await campaign.row("A5", `SIGKILL at each call of ${names}`, async (row) => {
          await killAtCalls(names, stride, folder, row, outcome);
        });
      });
    }
  }
  await campaign.row(
    "C1",
    `two processes that save the same tags, ${PAIRS} times`,
    (row) => compete(row, outcome),
  );
  await campaign.row("D3", "file systems and directories that may not be written to", refusals);
  const mount = "mount -t tmpfs -o size=64k tmpfs /mnt";
  if (!isPermitted("unshare", ["-rm", "sh", "-c", mount])) {
    campaign.skip("B4 a really full disk: unshare or a mount is not permitted");
  } else await campaign.row("B4", "a really full disk: 16 file systems of 64 KiB to 1 MiB", fillDisks);
}

/** Row D3: read-only file systems, directories of others, and a Deno that was not given the permission. */
async function refusals(row: RowRecorder): Promise<void> {
  const [, ...denoArguments] = CHILD;
  const script = denoArguments.at(-1) ?? "";
  const cases: [string, (folder: string) => readonly string[], boolean][] = [
    ["a read-only file system", (folder) => {
      return ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o ro tmpfs "$0" && exec "$@"', folder, ...CHILD];
    }, isPermitted("unshare", ["-rm", "true"])],
    ["a directory of somebody else", () => {
      return ["setpriv", "--reuid=65534", "--clear-groups", ...CHILD];
    }, canRunAsOther()],
    [
      "Deno without --allow-write",
      () => [process.execPath, "run", "--allow-read", "--allow-env", "--no-check", script],
      isDeno,
    ],
    [
      "Deno without --allow-read",
      () => [process.execPath, "run", "--allow-write", "--allow-env", "--no-check", script],
      isDeno,
    ],
  ];
  for (const [name, command, isPossible] of cases) {
    if (!isPossible) {
      row.note(`not here: ${name}`);
      continue;
    }
    await inFolder(async (folder) => {
      row.point();
      const { output } = await runChild([...command(folder), "refuse", folder]);
      if (!/^REFUSED storage_failed$/m.test(output)) row.fail(`${name}: ${output.slice(-300)}`);
      const left = await (await FileEngine.open(folder)).list();
      if (left.length > 0) row.fail(`${name}: ${left} is there`);
    });
  }
}

const isDeno = process.versions.deno !== undefined;

/** As another user the runtime itself has to be readable. */
function canRunAsOther(): boolean {
  return isPermitted("setpriv", ["--reuid=65534", "--clear-groups", process.execPath, "--version"]);
}

async function killByTimer(folder: string, row: RowRecorder, outcome: Outcome): Promise<void> {
  const next = randomNumbers(23);
  let committed = 0;
  for (let kill = 0; kill < TIMER_KILLS; kill++) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const afterCommits = Math.floor(next() * 3);
    const onOutput = (output: string, kill: () => void): void => {
      const commits = output.split("\n").length - 1;
      if (commits > afterCommits) timer ??= setTimeout(kill, next() * 12);
    };
    const end = await runChild([...CHILD, "train", folder, "100000"], { onOutput });
    committed = await judge(folder, end, committed, `timer kill ${kill}`, row, outcome);
  }
}

/** N = 1, 2, … until a run is over before its kill would come. */
async function killAtCalls(
  names: string,
  stride: number,
  folder: string,
  row: RowRecorder,
  outcome: Outcome,
): Promise<void> {
  let committed = 0;
  const isFresh = names.startsWith("mkdir");
  for (let run = 0, n = 1; run < MOST_PER_CALL; run++, n += stride) {
    // Directories are made once only: each run gets one that is not there.
    const place = isFresh ? join(folder, String(run), "runs", "one") : folder;
    if (isFresh) committed = 0;
    const inject = [`trace=${names}`, `inject=${names}:signal=SIGKILL:when=${n}`].flatMap((
      part,
    ) => ["-e", part]);
    const strace = ["strace", "-f", "-qqq", "-o", "/dev/null", ...inject];
    const end = await runChild([...strace, ...CHILD, "train", place, "3"]);
    if (end.status === 0) return row.note(`a run with call ${n} was over before its kill`);
    committed = await judge(place, end, committed, `kill at call ${n} of ${names}`, row, outcome);
  }
}

/** What the child announced has to be there, or one newer, and whole. Gives what is committed now. */
async function judge(
  folder: string,
  { status, signal, output }: ChildEnd,
  before: number,
  where: string,
  row: RowRecorder,
  outcome: Outcome,
): Promise<number> {
  row.point();
  if (signal === "SIGKILL" || status === 137) outcome.kills++;
  else row.fail(`${where}: ended with ${status ?? signal}: ${output.slice(-200)}`);
  const announced = [...output.matchAll(/^COMMIT \S+ (\d+)$/gm)].at(-1)?.[1];
  const committed = Number(announced ?? before);
  const { checkpoint, skipped } = await recover(await FileEngine.open(folder));
  const step = checkpoint === undefined ? 0 : stepOfState(await checkpoint.state());
  await checkpoint?.close();
  if (step === "mixed" || step > committed + 1) outcome.mixed++;
  else if (step < committed) outcome.lost++;
  if (step === "mixed" || step < committed || step > committed + 1) {
    row.fail(`${where}: ${step} was recovered, ${committed} is committed`);
  }
  if (skipped.length > 0) row.fail(`${where}: ${skipped[0]?.reason}`);
  return step === "mixed" ? committed : step;
}

async function compete(row: RowRecorder, outcome: Outcome): Promise<void> {
  for (let pair = 0; pair < PAIRS; pair++) {
    await inFolder(async (folder) => {
      const ends = await Promise.all(
        [1, 2].map((writer) => runChild([...CHILD, "compete", folder, String(writer)])),
      );
      row.point();
      const promised = new Map<string, number>();
      for (const { status, output } of ends) {
        if (status !== 0) row.fail(`pair ${pair}: a writer ended with ${status}`);
        for (const [, tag = "", step] of output.matchAll(/^COMMIT (\S+) (\d+)$/gm)) {
          if (promised.has(tag)) row.fail(`pair ${pair}: both committed ${tag}`);
          promised.set(tag, Number(step));
        }
      }
      const engine = await FileEngine.open(folder);
      if (promised.size !== 6) row.fail(`pair ${pair}: ${promised.size} tags were committed, expected 6`);
      for (const [tag, step] of promised) {
        const checkpoint = await engine.load(tag);
        await checkpoint.verify();
        const found = stepOfState(await checkpoint.state());
        await checkpoint.close();
        if (found === step) continue;
        if (found === "mixed") outcome.mixed++;
        else outcome.lost++;
        row.fail(`pair ${pair}: ${tag} holds ${found}, and ${step} was committed`);
      }
    });
  }
}

async function fillDisks(row: RowRecorder): Promise<void> {
  await inFolder(async (folder) => {
    for (let kib = 64; kib <= 1024; kib += 64) {
      row.point();
      const mounted = `mount -t tmpfs -o size=${kib}k tmpfs "$0" && exec "$@"`;
      const command = ["unshare", "-rm", "sh", "-c", mounted, folder, ...CHILD, "fill", folder, String(kib)];
      const { status, output } = await runChild(command);
      const bad = output.split("\n").filter((line) => line.startsWith("BAD"));
      if (status !== 0 || bad.length > 0) row.fail(`${kib} KiB: ended with ${status}; ${bad.join("; ")}`);
      if ((output.match(/^FULL$/gm) ?? []).length !== 2) {
        row.fail(`${kib} KiB: the disk was not filled twice`);
      }
    }
  });
}
