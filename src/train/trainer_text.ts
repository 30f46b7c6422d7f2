import { safeText } from "../base/printable.ts";
import { elementCount } from "../tensor/shape.ts";
import type { Run } from "./loop/run.ts";
import { counted, formatMeasure } from "./show/history_text.ts";
import type { AutoSaveSettings } from "./saves/auto_save_options.ts";

/** A trainer for people: where its run stands, what it is of, and where it is saved. */
export function trainerText(run: Run, saving: AutoSaveSettings | undefined): string {
  const { step, epoch, model, data, history, record: { identity }, store } = run;
  const parameters = model.parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const measured = Object.entries(history.lastEpoch?.metrics ?? {}).map(([name, value]) =>
    `${safeText(name)} ${formatMeasure(value)}`
  );
  return [
    `Trainer: ${counted(step, "step")} and ${counted(epoch, "whole epoch")} done`,
    `${counted(parameters, "parameter")}, ${identity.optimizer}, ` +
    `batches of ${data.batchSize} of ${counted(data.exampleCount, "example")}, on ${store.gpu.adapterName}`,
    ...measured.length === 0 ? [] : [`last epoch: ${measured.join(", ")}`],
    saving === undefined ? "not saved: autoSave() was not called" : savingText(saving),
  ].join("\n  ");
}

function savingText({ savePath, interval, everySteps }: AutoSaveSettings): string {
  if (savePath === null) return "not saved: autoSave() has no savePath";
  const where = typeof savePath === "string" || savePath instanceof URL
    ? `"${safeText(String(savePath))}"`
    : "an engine";
  const when = [
    ...interval !== null && interval > 0 ? [`every ${interval === 1 ? "epoch" : `${interval} epochs`}`] : [],
    ...everySteps !== null ? [`every ${everySteps === 1 ? "step" : `${everySteps} steps`}`] : [],
  ];
  return `saved to ${where}${when.length === 0 ? "" : ` ${when.join(" and ")}`}`;
}
