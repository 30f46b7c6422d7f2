import { checkOptions } from "../../base/options/options.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { CairnError } from "../../base/errors.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { elementCount, type Shape, validateShape } from "../../tensor/shape.ts";
import { negate } from "./negate.ts";
import { PickleOpaque, type PickleValue } from "./pickle_values.ts";
import { endOfView, gather, isContiguous, type StridedView } from "../strided.ts";
import {
  DEFAULT_MAX_BYTES,
  EXCHANGE_READ_OPTIONS,
  type ExchangeReadOptions,
  tooLarge,
} from "../tensor_file.ts";

/** What a tensor may have above its storage's length when it repeats elements (`expand`), in bytes. */
const MAX_EXPANDED_BYTES = 64 * 1024 * 1024;

/** A dtype of PyTorch. */
export interface TorchDType {
  /** As PyTorch calls it, such as `"float32"`. */
  readonly name: string;
  /** Bytes of an element. */
  readonly byteSize: number;
  /** Absent where Cairn has no such dtype. */
  readonly dtype?: DType | undefined;
}

/** The bytes that one or more tensors of a checkpoint are views of. */
export class TorchStorage extends PickleOpaque {
  /** Its name in the checkpoint. Tensors with the same storage share memory in PyTorch. */
  readonly key: string;
  /** Bytes of the whole storage, of which a tensor may use a part. */
  readonly byteLength: number;
  /** Of its elements; where it is untyped its elements are bytes, and each tensor says its own. */
  readonly type: TorchDType;
  /** Reads all of it, from the file or from what was read last. The bytes are not the caller's. */
  readonly load: () => Promise<Uint8Array>;

  /** A storage whose bytes come from `load` when a tensor of it is read. */
  constructor(fields: Pick<TorchStorage, "key" | "byteLength" | "type" | "load">) {
    super();
    this.key = fields.key;
    this.byteLength = fields.byteLength;
    this.type = fields.type;
    this.load = fields.load;
  }
}

/** What a tensor is beside its elements. */
export interface TorchTensorProperties {
  /** Whether PyTorch computed a gradient for it. */
  readonly requiresGrad: boolean;
  /** See {@link TorchTensor.isNegated}. Default false. */
  readonly isNegated?: boolean;
  /** See {@link TorchTensor.pickledAttributes}. */
  readonly pickledAttributes?: PickleValue | undefined;
}

/** A tensor of a PyTorch checkpoint. Its elements are read when {@link read} is called. */
export class TorchTensor extends PickleOpaque implements StridedView {
  /** The bytes that it is a view of. */
  readonly storage: TorchStorage;
  /** The dtype of its elements. */
  readonly type: TorchDType;
  /** Sizes of the dimensions, outermost first. */
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
  /** Whether PyTorch computed a gradient for it. */
  readonly requiresGrad: boolean;
  /** Whether the elements are those of the storage with the other sign. {@link read} gives the tensor's own. */
  readonly isNegated: boolean;
  /** What was set on the tensor beside its elements: a `TorchState`, if anything. */
  attributes: unknown;
  /** The same as the pickle has it. */
  readonly pickledAttributes: PickleValue | undefined;

  /** Throws `CairnError("invalid_file")` unless all its elements are inside its storage. */
  constructor(storage: TorchStorage, type: TorchDType, view: StridedView, properties: TorchTensorProperties) {
    super();
    this.storage = storage;
    this.type = type;
    this.shape = view.shape;
    this.strides = view.strides;
    this.offset = view.offset;
    this.requiresGrad = properties.requiresGrad;
    this.isNegated = properties.isNegated ?? false;
    this.pickledAttributes = properties.pickledAttributes;
    checkView(view, Math.floor(storage.byteLength / type.byteSize), storage.key);
  }

  /** The same tensor with other properties. */
  with(properties: Partial<TorchTensorProperties>): TorchTensor {
    const { requiresGrad, isNegated, pickledAttributes } = this;
    return new TorchTensor(this.storage, this.type, this, {
      requiresGrad,
      isNegated,
      pickledAttributes,
      ...properties,
    });
  }

  /** Of its elements, without gaps. */
  get byteLength(): number {
    return elementCount(this.shape) * this.type.byteSize;
  }

  /** The same text for tensors that are the same view of the same storage, as tied weights are. */
  get viewKey(): string {
    const { storage, type, offset, shape, strides, isNegated } = this;
    return JSON.stringify([storage.key, type.name, offset, shape, strides, isNegated]);
  }

  /**
   * Its elements, row-major, in memory of their own.
   * @throws CairnError `unsupported`, `limit_exceeded`, `checksum_mismatch` or `invalid_file`.
   */
  async read(options: ExchangeReadOptions = {}): Promise<HostTensor> {
    checkOptions("read()", options, EXCHANGE_READ_OPTIONS, "{ signal }");
    throwIfAborted(options.signal);
    const { dtype } = this.type;
    if (dtype === undefined) {
      throw new CairnError("unsupported", `Cairn has no tensors of PyTorch's dtype ${this.type.name}`);
    }
    if (this.isNegated && dtype === "bool") {
      throw new CairnError(
        "unsupported",
        "Cannot read a tensor of PyTorch: it is a bool with the negative bit",
      );
    }
    validateRank(this.shape);
    const { byteLength } = this;
    if (byteLength > this.storage.byteLength && byteLength > MAX_EXPANDED_BYTES) {
      throw new CairnError(
        "limit_exceeded",
        `A tensor repeats its ${this.storage.byteLength} bytes to ${byteLength}; ${MAX_EXPANDED_BYTES} is the most`,
        { details: { limit: MAX_EXPANDED_BYTES, value: byteLength } },
      );
    }
    const { maxBytes = DEFAULT_MAX_BYTES } = options;
    const needed = Math.max(byteLength, this.storage.byteLength);
    if (needed > maxBytes) throw tooLarge("a tensor of PyTorch and its storage", needed, maxBytes);
    const elements = this.#elements(await this.storage.load(), byteSizeOf(dtype));
    if (this.isNegated) negate(elements, dtype, byteSizeOf(dtype));
    return HostTensor.fromBytes(elements, dtype, this.shape);
  }

  #elements(bytes: Uint8Array, byteSize: number): Uint8Array {
    if (!isContiguous(this)) return gather(bytes, byteSize, this);
    const start = this.shape.includes(0) ? 0 : this.offset * byteSize;
    return bytes.slice(start, start + this.byteLength);
  }
}

function validateRank(shape: Shape): void {
  try {
    validateShape(shape);
  } catch (cause) {
    throw new CairnError("unsupported", `Cairn has no tensors of the shape [${shape}]`, { cause });
  }
}

function checkView(view: StridedView, elements: number, key: string): void {
  const { shape, strides, offset } = view;
  const isWhole = [...shape, ...strides, offset].every((value) => Number.isSafeInteger(value) && value >= 0);
  if (!isWhole || strides.length !== shape.length) {
    throw new CairnError(
      "invalid_file",
      `A tensor of storage ${key} has the shape [${shape}] and strides [${strides}]`,
    );
  }
  const end = endOfView(view);
  let count: number;
  try {
    count = elementCount(shape);
  } catch (cause) {
    throw new CairnError("invalid_file", `A tensor has more elements than can be counted: [${shape}]`, {
      cause,
    });
  }
  if (count > 0 && !(end <= elements)) {
    throw new CairnError(
      "invalid_file",
      `A tensor ends at element ${end} of storage ${key}, which has ${elements}; the file is damaged or forged`,
    );
  }
}
