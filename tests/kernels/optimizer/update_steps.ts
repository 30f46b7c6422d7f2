import { expect } from "bun:test";
import type { Dispatch } from "../../../src/gpu/dispatch.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { encodeStepVerdict, STEP_VERDICT_BYTES } from "../../../src/kernels/optimizer/step_verdict.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, randomNumbers, SIZES, type Tolerance } from "../numbers.ts";
import type { ElementState, OptimizerTwin } from "../twins/optimizer_twins.ts";

/** What a kernel of an optimiser is given: the parameter and then its slots. */
export interface KernelArrays {
  readonly state: readonly Float32Array[];
  readonly gradient: Float32Array;
  readonly scalars: Uint8Array;
  readonly verdict: Uint8Array;
}

/** A kernel with its hyperparameters, beside a twin that has the same ones. */
export interface KernelCase {
  readonly learningRate: number;
  /** Which of the step's scalars the rate is. */
  readonly rate?: number;
  /** The step's scalar behind the rate, in update `t`, from 1. */
  readonly behindRate?: (t: number) => number;
  /** Whose powers the verdict corrects by. */
  readonly decays?: readonly number[];
  /** How many tensors there are beside the parameter. */
  readonly slots: number;
  readonly twin: OptimizerTwin;
  dispatch(arrays: KernelArrays, sizes: { count: number; rate: number }): Dispatch<HostArray>;
}

const STEPS = 20;
/** Of large tensors fewer steps are made: what differs there is where the elements are. */
const LARGE = 1024;
const TOLERANCE: Tolerance = { absolute: 5e-6, relative: 2e-5 };

/**
 * Runs the kernel beside its twin, 20 steps over tensors of 0 to 257 elements and 2 of a large one. Every step is
 * made twice for equal bits.
 *
 * @param gradientOf A number of [-1, 1), for each step.
 */
export async function expectSteps(
  gpu: GpuDevice,
  kernel: KernelCase,
  { tolerance = TOLERANCE, gradientOf = (number) => number }: {
    readonly tolerance?: Tolerance;
    readonly gradientOf?: (number: number, state: ElementState) => number;
  } = {},
): Promise<void> {
  for (const count of SIZES) {
    let state = [randomNumbers(count, 1), ...zeros(kernel, count)];
    let twins = Array.from({ length: count }, (_, index) => elementOf(state, index));
    for (let t = 1; t <= (count > LARGE ? 2 : STEPS); t++) {
      const gradient = randomNumbers(count, 10 + t).map((number, index) =>
        gradientOf(number, twins[index] ?? [NaN])
      );
      const corrections = (kernel.decays ?? []).map((decay) => 1 - decay ** t);
      state = await oneStep(gpu, kernel, state, gradient, encodeStepVerdict({ updates: t, corrections }), t);
      twins = twins.map((twin, index) => kernel.twin(twin, gradient[index] ?? NaN, t));
      state.forEach((array, slot) => expectClose(array, twins.map((twin) => twin[slot] ?? NaN), tolerance));
    }
  }
}

/** Fails unless the kernel changes nothing when the verdict is 0, whatever the gradients are. */
export async function expectGated(gpu: GpuDevice, kernel: KernelCase): Promise<void> {
  for (const count of [64, 63]) {
    const state = Array.from(
      { length: 1 + kernel.slots },
      (_, index) => randomNumbers(count, index + 1).map(Math.abs),
    );
    const gradient = randomNumbers(count, 9);
    gradient[5] = NaN;
    gradient[6] = Infinity;
    const after = await oneStep(gpu, kernel, state, gradient, new Uint8Array(STEP_VERDICT_BYTES));
    expect(after).toEqual(state);
  }
}

/** Fails unless the kernel takes the gradient times the verdict's scale, and within its limit. */
export async function expectClipped(gpu: GpuDevice, kernel: KernelCase): Promise<void> {
  const corrections = (kernel.decays ?? []).map((decay) => 1 - decay);
  for (const count of [64, 63]) {
    const state = [randomNumbers(count, 1), ...zeros(kernel, count)];
    const gradient = randomNumbers(count, 2);
    const verdict = encodeStepVerdict({ corrections, gradientScale: 0.5, gradientLimit: 0.25 });
    const clipped = gradient.map((g) => Math.min(0.25, Math.max(-0.25, g * 0.5)));
    const after = await oneStep(gpu, kernel, state, gradient, verdict);
    expect(after).toEqual(await oneStep(gpu, kernel, state, clipped, encodeStepVerdict({ corrections })));
  }
}

/** Zero parameters with zero gradients stay so, bit for bit: the padding of a slab does. */
export async function expectZerosKept(gpu: GpuDevice, kernel: KernelCase): Promise<void> {
  const state = [new Float32Array(64), ...zeros(kernel, 64)];
  const corrections = (kernel.decays ?? []).map((decay) => 1 - decay);
  const [parameter] = await oneStep(
    gpu,
    kernel,
    state,
    new Float32Array(64),
    encodeStepVerdict({ corrections }),
  );
  expect(new Uint8Array(parameter?.buffer ?? new ArrayBuffer(1)).every((byte) => byte === 0)).toBe(true);
  expect(parameter?.length).toBe(64);
}

async function oneStep(
  gpu: GpuDevice,
  { learningRate, behindRate = () => 1e6, rate = 0, dispatch }: KernelCase,
  state: readonly Float32Array[],
  gradient: Float32Array,
  verdict: Uint8Array,
  t = 1,
): Promise<Float32Array[]> {
  const values = [...Array<number>(rate).fill(1e6), learningRate, behindRate(t)];
  const scalars = encodeStepScalars({ seed: 0, step: 3, values });
  const count = gradient.length;
  return await runDispatch(gpu, dispatch({ state, gradient, scalars, verdict }, { count, rate }), [...state]);
}

function zeros({ slots }: KernelCase, count: number): Float32Array[] {
  return Array.from({ length: slots }, () => new Float32Array(count));
}

function elementOf(state: readonly Float32Array[], index: number): ElementState {
  const [parameter = NaN, ...slots] = state.map((array) => array[index] ?? NaN);
  return [parameter, ...slots];
}
