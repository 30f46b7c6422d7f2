import { numpyArrayGlobal } from "./numpy_arrays.ts";
import { numpyGlobal } from "./numpy_scalars.ts";
import { isTuple } from "./pickle_machine.ts";
import { PickleGlobal, type PickleValue } from "./pickle_values.ts";
import { pythonGlobal, refuse } from "./python_globals.ts";
import { torchType } from "./torch_dtypes.ts";
import { torchRebuild } from "./torch_rebuild.ts";

/**
 * The names that a checkpoint may say and have something done by them, and what each stands for. Everything a name
 * does is written in this folder: data is put into place, and nothing is looked up in any runtime.
 */
export function torchGlobal(name: string): PickleValue | undefined {
  return torchType(name) ?? torchFunction(name) ?? torchRebuild(name) ?? pythonGlobal(name) ??
    numpyGlobal(name) ??
    numpyArrayGlobal(name);
}

function torchFunction(name: string): PickleGlobal | undefined {
  const call = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  return call === undefined ? undefined : new PickleGlobal(name, call);
}

const FUNCTIONS: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>> = {
  "torch.Size": ([sizes, ...more]) => isTuple(sizes) && more.length === 0 ? sizes : refuse("torch.Size"),
  "torch.device": (args) => isDevice(args) ? args.join(":") : refuse("torch.device"),
};

function isDevice([kind, index, ...more]: readonly PickleValue[]): boolean {
  return typeof kind === "string" && (index === undefined || typeof index === "number") && more.length === 0;
}
