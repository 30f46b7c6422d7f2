import { checkOptions } from "../base/options/options.ts";
import type { ContainerReader } from "../container/read/container_reader.ts";
import { CairnError } from "../base/errors.ts";
import type { OutgoingTensor } from "./outgoing.ts";
import {
  DEFAULT_MAX_BYTES,
  EXCHANGE_READ_OPTIONS,
  type ExchangeReadOptions,
  quoted,
  type TensorFile,
  tooLarge,
} from "./tensor_file.ts";

/**
 * The tensors of a file of another format, to be written in a third one: each is read when it is its turn. Names that
 * the file knows to be the same tensor stay aliases.
 *
 * @param names Those to take; all of them unless given.
 * @throws CairnError `not_found`, or `unsupported` for a tensor whose dtype Cairn does not have.
 */
export async function tensorsOfFile(
  file: TensorFile,
  names: readonly string[] = file.names(),
  options: ExchangeReadOptions = {},
): Promise<OutgoingTensor[]> {
  checkOptions("tensorsOfFile()", options, EXCHANGE_READ_OPTIONS, "{ signal }");
  const taken = new Set(names);
  const tensors: OutgoingTensor[] = [];
  for (const name of names) {
    const { dtype, shape, storedAs, aliasOf } = await file.describe(name);
    if (dtype === undefined) {
      throw new CairnError(
        "unsupported",
        `Cannot convert tensor ${quoted(name)}: Cairn has no dtype ${storedAs}; leave it out`,
        {
          details: { tensor: name },
        },
      );
    }
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      yield (await file.read(name, options)).bytes;
    };
    const isAlias = aliasOf !== undefined && taken.has(aliasOf);
    tensors.push({ name, dtype, shape, aliasOf: isAlias ? aliasOf : undefined, pieces });
  }
  return tensors;
}

/**
 * The tensors of a `.cairn` file, to be written in another format: each is read, and checked, when it is its turn.
 *
 * @param names Those to take; all of them unless given.
 * @throws CairnError `not_found`; `limit_exceeded` for a tensor above `maxBytes`.
 */
export function tensorsOfContainer(
  reader: ContainerReader,
  names: readonly string[] = reader.tensors.map(({ name }) => name),
  options: ExchangeReadOptions = {},
): OutgoingTensor[] {
  checkOptions("tensorsOfContainer()", options, EXCHANGE_READ_OPTIONS, "{ signal }");
  const taken = new Set(names);
  return names.map((name) => {
    const { dtype, shape, aliasOf, byteLength } = reader.tensor(name);
    const { signal, maxBytes = DEFAULT_MAX_BYTES } = options;
    if (byteLength > maxBytes) throw tooLarge(`tensor ${quoted(name)}`, byteLength, maxBytes);
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      yield await reader.read(name, { signal });
    };
    const isAlias = aliasOf !== undefined && taken.has(aliasOf);
    return { name, dtype, shape, aliasOf: isAlias ? aliasOf : undefined, pieces };
  });
}
