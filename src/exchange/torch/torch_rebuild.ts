import { refuse } from "./python_globals.ts";
import type { Shape } from "../../tensor/shape.ts";
import { isTuple } from "./pickle_machine.ts";
import { PickleDict, PickleGlobal, PickleObject, type PickleValue } from "./pickle_values.ts";
import { TorchType } from "./torch_dtypes.ts";
import { type TorchDType, TorchStorage, TorchTensor } from "./torch_tensor.ts";
import { UnreadableTensor } from "../unreadable_tensor.ts";

type Args = readonly PickleValue[];

/** Classes of tensors that are their elements and nothing else. */
const PLAIN_CLASSES = [
  "torch.Tensor",
  "torch.nn.parameter.Parameter",
  "torch.nn.parameter.Buffer",
  "torch.nn.Parameter",
  "torch.nn.Buffer",
];

/**
 * The functions by which PyTorch's pickles make tensors. Each takes as many arguments as PyTorch's own, and every one
 * of them is honoured, or the tensor is an {@link UnreadableTensor} that names it: an argument that is read past is a
 * wrong number.
 */
export function torchRebuild(name: string): PickleGlobal | undefined {
  const call = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (call !== undefined) return new PickleGlobal(name, (args) => call(args, name));
  // Some other function of this family, of a PyTorch to come: it makes a tensor too.
  const isFamily = /^torch\._(utils|tensor)\._rebuild_\w+$/.test(name);
  return isFamily
    ? new PickleGlobal(name, () => unreadable(name, "it is made in a way of its own"))
    : undefined;
}

const FUNCTIONS: Readonly<Record<string, (args: Args, name: string) => PickleValue>> = {
  "torch._utils._rebuild_tensor": (args, name) => {
    expect(args, name, 4);
    return dense(args, name, { requiresGrad: false });
  },
  "torch._utils._rebuild_tensor_v2": (args, name) => {
    expect(args, name, 6, 7);
    const [, , , , requiresGrad, hooks, metadata] = args;
    return dense(args, name, { requiresGrad, hooks, metadata });
  },
  "torch._utils._rebuild_tensor_v3": (args, name) => {
    expect(args, name, 7, 8);
    const [, , , , requiresGrad, hooks, dtype, metadata] = args;
    return dense(args, name, { requiresGrad, hooks, metadata, dtype });
  },
  "torch._utils._rebuild_parameter": (args, name) => {
    expect(args, name, 3);
    return parameter(args, name);
  },
  "torch._utils._rebuild_parameter_with_state": (args, name) => {
    expect(args, name, 4);
    return withAttributes(parameter(args, name), args[3]);
  },
  "torch._tensor._rebuild_from_type": fromType,
  "torch._tensor._rebuild_from_type_v2": fromType,
  "torch._utils._rebuild_device_tensor_from_cpu_tensor": fromCpuTensor,
  "torch._utils._rebuild_qtensor": ([storage, , shape], name) =>
    unreadable(name, "it is quantized", storage instanceof TorchStorage ? storage.type : undefined, shape),
  "torch._utils._rebuild_sparse_tensor": ([, parts], name) => sparse(name, parts),
  "torch._utils._rebuild_sparse_csr_tensor": ([, parts], name) => sparse(name, parts),
  "torch._utils._rebuild_nested_tensor": ([buffer], name) =>
    unreadable(name, "it is nested", buffer instanceof TorchTensor ? buffer.type : undefined),
  "torch._utils._rebuild_meta_tensor_no_storage": ([dtype, shape], name) =>
    unreadable(name, "it is on the device meta and has no elements", typeOf(dtype), shape),
  "torch._utils._rebuild_wrapper_subclass": ([ofClass, dtype, shape], name) =>
    unreadable(name, `it is a ${nameOf(ofClass)} and has no elements`, typeOf(dtype), shape),
  "torch._utils._rebuild_device_tensor_from_numpy": ([, dtype], name) =>
    unreadable(name, "it comes from a device by way of NumPy", typeOf(dtype)),
  "torch._utils._rebuild_xla_tensor": ([, dtype], name) =>
    unreadable(name, "it comes from a device by way of NumPy", typeOf(dtype)),
};

interface Extras {
  readonly requiresGrad: PickleValue | undefined;
  /** An empty dict. */
  readonly hooks?: PickleValue | undefined;
  readonly metadata?: PickleValue | undefined;
  /** Takes precedence over the storage's own. */
  readonly dtype?: PickleValue | undefined;
}

function dense(args: Args, name: string, extras: Extras): PickleValue {
  const [storage, offset, shape, strides] = args;
  const { requiresGrad, hooks, metadata } = extras;
  const fits = storage instanceof TorchStorage && typeof offset === "number" && isNumbers(shape) &&
    isNumbers(strides) && typeof requiresGrad === "boolean";
  if (!fits) return refuse(name);
  const type = extras.dtype === undefined ? storage.type : typeOf(extras.dtype) ?? refuse(name);
  const bits = mathBits(metadata, name);
  const problem = bits.problem ?? hookProblem(hooks, name) ?? quantizedProblem(type);
  if (problem !== undefined) return unreadable(name, problem, type, shape);
  const view = { shape, strides, offset };
  return new TorchTensor(storage, type, view, { requiresGrad, isNegated: bits.isNegated });
}

/** What a tensor's elements have yet to go through: bits that PyTorch sets instead of touching them. */
function mathBits(metadata: PickleValue | undefined, name: string): { isNegated: boolean; problem?: string } {
  let isNegated = false;
  if (metadata === undefined || metadata === null) return { isNegated };
  if (!(metadata instanceof PickleDict)) return refuse(name);
  for (const [key, value] of metadata.items) {
    if (value === false) continue;
    if (key === "neg" && value === true) isNegated = true;
    else if (key === "conj" && value === true) return { isNegated, problem: "its conjugate bit is set" };
    else return { isNegated, problem: `it has the property ${String(key)}, which is not known` };
  }
  return { isNegated };
}

/** Hooks are code, and a tensor has none in any file that PyTorch writes today. */
function hookProblem(hooks: PickleValue | undefined, name: string): string | undefined {
  if (hooks === undefined || hooks === null) return undefined;
  if (!(hooks instanceof PickleDict)) return refuse(name);
  return hooks.items.size === 0 ? undefined : "it has backward hooks, which are code";
}

function quantizedProblem({ name }: TorchDType): string | undefined {
  return /^qu?int/.test(name) ? "it is quantized" : undefined;
}

function parameter([tensor, requiresGrad, hooks]: Args, name: string): PickleValue {
  if (tensor instanceof UnreadableTensor) return tensor;
  if (!(tensor instanceof TorchTensor) || typeof requiresGrad !== "boolean") return refuse(name);
  const problem = hookProblem(hooks, name);
  if (problem !== undefined) return unreadable(name, problem, tensor.type, tensor.shape);
  return tensor.with({ requiresGrad });
}

/** Attributes that were set on a tensor; they do not change its elements. */
function withAttributes(tensor: PickleValue, attributes: PickleValue | undefined): PickleValue {
  return tensor instanceof TorchTensor ? tensor.with({ pickledAttributes: attributes }) : tensor;
}

/** A tensor with attributes, or one of another class. */
function fromType(args: Args, name: string): PickleValue {
  expect(args, name, 4);
  const [make, ofClass, ofArgs, attributes] = args;
  const isCall = make instanceof PickleGlobal && make.call !== undefined && isTuple(ofArgs);
  if (!isCall) {
    return make instanceof PickleObject ? unreadable(name, `it is made by ${make.name}`) : refuse(name);
  }
  const tensor = make.call(ofArgs);
  if (tensor instanceof UnreadableTensor) return tensor;
  if (!(tensor instanceof TorchTensor)) return refuse(name);
  if (PLAIN_CLASSES.includes(nameOf(ofClass))) return withAttributes(tensor, attributes);
  const problem = `it is a ${nameOf(ofClass)}, and what that makes of its elements is not known`;
  return unreadable(name, problem, tensor.type, tensor.shape);
}

function fromCpuTensor(args: Args, name: string): PickleValue {
  expect(args, name, 4);
  const [tensor, dtype, , requiresGrad] = args;
  if (tensor instanceof UnreadableTensor) return tensor;
  if (!(tensor instanceof TorchTensor) || typeof requiresGrad !== "boolean") return refuse(name);
  const type = typeOf(dtype) ?? refuse(name);
  if (type.name === tensor.type.name) return tensor.with({ requiresGrad });
  return unreadable(name, `it was saved as ${tensor.type.name} for another dtype`, type, tensor.shape);
}

function sparse(name: string, parts: PickleValue | undefined): PickleValue {
  const all = isTuple(parts) ? parts : [];
  const shape = all.find((part) => isNumbers(part));
  const values = all.findLast((part) => part instanceof TorchTensor);
  return unreadable(name, "it is sparse", values instanceof TorchTensor ? values.type : undefined, shape);
}

function unreadable(
  name: string,
  problem: string,
  type?: TorchDType,
  shape?: PickleValue | Shape,
): UnreadableTensor {
  const isShape = isNumbers(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  return new UnreadableTensor(`${problem} (${name})`, type?.name ?? "unknown", isShape ? [...shape] : []);
}

function typeOf(value: PickleValue | undefined): TorchDType | undefined {
  return value instanceof TorchType ? value.type : undefined;
}

function nameOf(value: PickleValue | undefined): string {
  return value instanceof PickleObject ? value.name : "class without a name";
}

function isNumbers(value: PickleValue | Shape | undefined): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

function expect(args: Args, name: string, fewest: number, most = fewest): void {
  if (args.length < fewest || args.length > most) refuse(name);
}
