import { AgreedInterrupts } from "./agreed_interrupts.ts";
import type { ScheduledSaves } from "./saves/scheduled_saves.ts";
import type { AutoSaver } from "./saves/auto_saver.ts";
import type { CallbackList } from "./callbacks/callback_list.ts";
import { DeviceLosses } from "./device_losses.ts";
import { Interrupts } from "./interrupts.ts";
import { batchOfStep, checkedPolicy, explainStop, isNonFinite } from "./loop/non_finite.ts";
import type { RestoreTarget } from "./restore.ts";
import type { Run } from "./loop/run.ts";
import type { TimeTravel } from "./time_travel.ts";
import { nothingLeft, stepsAtEnd } from "./totals.ts";
import { TrainLog } from "./train_log.ts";
import { type LoopEnd, trainLoop } from "./train_loop.ts";
import type { TrainOptions, TrainReport } from "./train_options.ts";

/** What a call of `Trainer.train` works with. */
export interface TrainingContext {
  readonly run: Run;
  readonly callbacks: CallbackList;
  readonly autoSaver: AutoSaver | undefined;
  /** What keeps states that the run can go back to. */
  readonly past: Pick<TimeTravel, "keeping">;
  /** The run with the directory that it is saved into. */
  readonly target: () => Promise<RestoreTarget>;
  /** Aborted when the training is to end at the next step. */
  readonly stopping: AbortSignal;
}

/** What `Trainer.train` does, once nothing else changes the run. */
export async function training(context: TrainingContext, options: TrainOptions): Promise<TrainReport> {
  const { run } = context;
  checkedPolicy(options.onNonFinite);
  await join(run, options);
  const startStep = run.step;
  const log = new TrainLog(run, options, context.callbacks, isFirst(run));
  const isDone = run.step >= stepsAtEnd(run, options) && !run.isEpochUnmeasured;
  if (isDone) log.onWarning(nothingLeft(run, options));
  const losses = new DeviceLosses(run, options.onDeviceLost);
  const end: LoopEnd = isDone
    ? { endedBy: "end", exitCode: 0 }
    : await trainWith(context, options, log, losses);
  const { saves, failedSaves, warnings } = log;
  const skipped = run.history.skipped.filter((step) => step >= startStep).map((step) =>
    batchOfStep(run, step)
  );
  const stoppedBy = end.endedBy === "stop" ? log.stopRequest : undefined;
  return { steps: run.step - startStep, ...end, stoppedBy, skipped, saves, failedSaves, warnings };
}

/** Of several ranks, one saves and writes logs. */
function isFirst({ steps: { agreement } }: Run): boolean {
  return (agreement?.group?.rank ?? 0) === 0;
}

async function join(run: Run, { onDeviceLost }: TrainOptions): Promise<void> {
  const group = run.steps.agreement?.group;
  if (group === undefined) return;
  if (onDeviceLost === "rebuild") {
    throw new TypeError(
      'onDeviceLost: "rebuild" is for one process: of several ranks all begin anew, from the newest checkpoint',
    );
  }
  const { joinRanks } = await import("./ranks/join_ranks.ts");
  await joinRanks(run, group);
}

async function trainWith(
  context: TrainingContext,
  options: TrainOptions,
  log: TrainLog,
  losses: DeviceLosses,
): Promise<LoopEnd> {
  const { run } = context;
  const { agreement } = run.steps;
  const isSaved = context.autoSaver?.isEnabled === true;
  const autoSaver = isSaved && isFirst(run) ? context.autoSaver : undefined;
  const interrupts = Interrupts.of(options.handleSignals);
  if (interrupts !== undefined && !isSaved) {
    log.onWarning(
      "A signal will end the training without saving it; call autoSave() first to have it saved",
    );
  }
  const isStopWanted = (): boolean => context.stopping.aborted || log.stopRequest !== undefined;
  const isStopping = agreement === undefined ? isStopWanted : () => agreement.end === "stop";
  const heard = agreement === undefined ? interrupts : new AgreedInterrupts(agreement, interrupts);
  const ending = [context.stopping, options.signal, interrupts?.stopping];
  // A rank that left out a step by itself would not act as the others do.
  const hurry = agreement === undefined
    ? AbortSignal.any(ending.flatMap((signal) => signal ?? []))
    : undefined;
  const train = async (): Promise<LoopEnd> => {
    for (;;) {
      try {
        await prepare(run, log);
        await compareVariants(run);
        const kept = await context.past.keeping();
        const saves = autoSaver === undefined
          ? undefined
          : await openSaves(context, autoSaver, log, interrupts?.overdue);
        await log.onStart();
        run.setClock(true);
        run.expectSteps(stepsAtEnd(run, options));
        agreement?.begin(() => ({
          end: interrupts?.received ?? (isStopWanted() ? "stop" : undefined),
          hasStopped: run.steps.ring.stoppedStep !== undefined || saves?.hasSeenStop === true,
        }));
        const end = await trainLoop({
          run,
          options,
          log,
          autoSaver,
          saves,
          kept,
          interrupts: heard,
          isStopping,
          hurry,
        });
        return { ...end, exitCode: await agreement?.numberOfFirst(end.exitCode) ?? end.exitCode };
      } catch (error) {
        run.setClock(false);
        if (isNonFinite(error)) throw await explainStop(run);
        await agreement?.giveUp(error);
        // A process that was told to end has no time for that.
        if (interrupts?.received !== undefined || !await losses.isWorthAnother()) throw error;
        await losses.recover(error, await context.target(), log, options.signal);
      }
    }
  };
  try {
    const end = await withBatches(run, log, train).catch(async (error: unknown) => {
      // What they throw now would hide it.
      await log.onEnd({ endedBy: "error", error }).catch(() => undefined);
      throw error;
    });
    run.setClock(false);
    await log.onEnd({ endedBy: end.endedBy });
    return end;
  } finally {
    run.setClock(false);
    interrupts?.stop();
  }
}

/** Does `train`, and gives back what the data hold open, however it ends. */
async function withBatches<T>(run: Run, log: TrainLog, train: () => Promise<T>): Promise<T> {
  const end = await train().catch(async (error: unknown) => {
    // What goes wrong now would hide it.
    await run.closeBatches().catch(() => undefined);
    throw error;
  });
  if (!await run.closeBatches()) {
    log.onWarning(
      "The data were still at a batch five seconds after the training had ended, and are left behind; let what reads " +
        "them end when its signal is aborted",
    );
  }
  return end;
}

async function prepare(run: Run, log: TrainLog): Promise<void> {
  await run.prepare((progress) => log.onCompile(progress));
  const warning = await run.unreachedWarning();
  if (warning !== undefined) log.onWarning(warning);
}

async function compareVariants(run: Run): Promise<void> {
  const group = run.steps.agreement?.group;
  if (group === undefined) return;
  const { compareVariants } = await import("./ranks/join_ranks.ts");
  await compareVariants(run, group);
}

async function openSaves(
  { run, target }: TrainingContext,
  autoSaver: AutoSaver,
  log: TrainLog,
  giveUp: AbortSignal | undefined,
): Promise<ScheduledSaves> {
  const { ScheduledSaves } = await import("./saves/scheduled_saves.ts");
  const { runDirectory } = await target();
  await runDirectory.survey();
  return new ScheduledSaves(run, autoSaver, runDirectory, log, giveUp);
}
