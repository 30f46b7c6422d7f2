import type { WorkProgress } from "../../base/work.ts";
import { formatMeasure } from "../show/history_text.ts";
import type { TrainingProgress } from "../callbacks/training_progress.ts";
import type { Pace } from "./progress_rate.ts";

/** How many cells the bar has where there is room. */
const BAR_CELLS = 20;
const LEAST_BAR_CELLS = 5;

/** `compiling kernels 3/8`. */
export function describeCompiling({ done, total }: WorkProgress): string {
  return `compiling kernels ${done}/${total}`;
}

/** A run in one line of at most `columns` characters: what there is no room for is left out. */
export function drawBar(progress: TrainingProgress, pace: Pace, columns: number): string {
  const parts = partsOf(progress, pace);
  // What it is doing just now matters more than how fast it was.
  if (progress.saving !== undefined) parts.splice(2, 0, `saving ${progress.saving}`);
  const [epoch = "", ...others] = parts;
  const behind = others.reduce(
    (line, part) =>
      line.length + part.length + 3 > columns - epoch.length - LEAST_BAR_CELLS - 2
        ? line
        : `${line}${line === "" ? "" : " | "}${part}`,
    "",
  );
  const room = Math.min(BAR_CELLS, columns - epoch.length - behind.length - 2);
  const bar = room < LEAST_BAR_CELLS ? "" : `${cells(progress, room)} `;
  return `${epoch} ${bar}${behind}`.slice(0, Math.max(0, columns));
}

/** A run in one line of a log file. */
export function describeLine(progress: TrainingProgress, pace: Pace | undefined): string {
  return partsOf(progress, pace).join(", ");
}

/** What a call did, in one line. */
export function describeEnd(progress: TrainingProgress, how: string, pace: Pace): string {
  const { step, totalSteps, epoch, totalEpochs, metrics, saves } = progress;
  const measured = Object.entries(metrics).map(([name, value]) => `${name} ${formatMeasure(value)}`);
  const said = measured.length > 0 ? measured : lossOf(progress);
  return [
    `${ENDINGS[how] ?? `ended by ${how}`}: epoch ${epoch}/${totalEpochs}, step ${step}/${totalSteps} in ` +
    `${formatSeconds(pace.seconds)}${pace.examplesPerSecond === undefined ? "" : ` (${speedOf(pace)})`}`,
    ...said,
    ...saves === 0 ? [] : [`${saves} ${saves === 1 ? "checkpoint" : "checkpoints"} saved`],
  ].join(", ");
}

const ENDINGS: Readonly<Record<string, string>> = { end: "done", stop: "stopped", error: "failed" };

/** Epoch, step, time left, loss, speed. */
function partsOf(progress: TrainingProgress, pace: Pace | undefined): string[] {
  const { step, totalSteps, epoch, totalEpochs, metrics } = progress;
  const measured = Object.entries(metrics).filter(([name]) => name !== "loss" && name.startsWith("val_"))
    .map(([name, value]) => `${name} ${formatMeasure(value)}`);
  const perSecond = pace?.stepsPerSecond;
  return [
    `epoch ${epoch}/${totalEpochs}`,
    `step ${step}/${totalSteps}`,
    ...perSecond === undefined ? [] : [`${formatSeconds((totalSteps - step) / perSecond)} left`],
    ...[...lossOf(progress), ...measured],
    ...pace?.examplesPerSecond === undefined ? [] : [speedOf(pace)],
  ];
}

/** The loss, and what it is made of where that is several terms. */
function lossOf({ loss, terms = {} }: TrainingProgress): string[] {
  if (loss === undefined) return [];
  const parts = Object.entries(terms).map(([name, value]) => `${name} ${formatMeasure(value)}`);
  return [`loss ${formatMeasure(loss)}${parts.length === 0 ? "" : ` (${parts.join(", ")})`}`];
}

function speedOf({ examplesPerSecond = 0 }: Pace): string {
  const digits = examplesPerSecond < 10 ? 1 : 0;
  return `${examplesPerSecond.toLocaleString("en", { maximumFractionDigits: digits })} examples/s`;
}

function cells({ step, totalSteps }: TrainingProgress, count: number): string {
  const share = totalSteps > 0 ? Math.min(1, step / totalSteps) : 1;
  const full = Math.floor(share * count);
  return "█".repeat(full) + "░".repeat(count - full);
}

/** `0:07`, `3:12`, `1:02:03` or `2d 03:04:05`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  const clock = `${two(minutes)}:${two(whole % 60)}`;
  if (days > 0) return `${days}d ${two(hours)}:${clock}`;
  return hours > 0 ? `${hours}:${clock}` : clock.replace(/^0/, "");
}
