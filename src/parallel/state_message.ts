import { CairnError, type CairnErrorCode } from "../base/errors.ts";
import { freezeState } from "../checkpoint/capture/host_state.ts";
import type { HostState, StateInput } from "../checkpoint/capture/state_types.ts";
import { readState } from "../checkpoint/file/read_object.ts";
import { ContainerReader } from "../container/read/container_reader.ts";
import { bytesSource } from "../container/source.ts";
import { writeContainer } from "../container/write/write_container.ts";

/** What an error is under, in a message. */
const ERROR_KEY = "cairn error";

/** A state as the bytes of a container, which says itself when it is damaged. Errors in it keep code and message. */
export async function encodeState(state: unknown): Promise<Uint8Array> {
  const { state: frozen, tensors } = freezeState(withoutErrors(state) as StateInput);
  return await writeContainer({
    tensors,
    codec: "raw",
    fileId: crypto.getRandomValues(new Uint8Array(16)),
    manifest: { kind: "tensors", state: frozen, metrics: {}, provenance: {}, user: {} },
  });
}

/** The state that {@link encodeState} has made bytes of. */
export async function decodeState(bytes: Uint8Array): Promise<unknown> {
  const reader = await ContainerReader.open(bytesSource(bytes));
  return withErrors(await readState(reader, reader.manifest.state));
}

function withoutErrors(value: unknown): unknown {
  if (value instanceof Error) {
    const code = value instanceof CairnError ? value.code : null;
    return { [ERROR_KEY]: { code, message: value.message } };
  }
  if (Array.isArray(value)) return value.map(withoutErrors);
  return isPlain(value) ? mapped(value, withoutErrors) : value;
}

function withErrors(value: HostState): unknown {
  if (Array.isArray(value)) return value.map(withErrors);
  if (!isPlain(value)) return value;
  const error = value[ERROR_KEY];
  if (!isPlain(error)) return mapped(value, (each) => withErrors(each as HostState));
  const { code, message } = error;
  return typeof code === "string"
    ? new CairnError(code as CairnErrorCode, String(message))
    : new Error(String(message));
}

function mapped(record: Readonly<Record<string, unknown>>, map: (value: unknown) => unknown) {
  return Object.fromEntries(Object.entries(record).map(([key, each]) => [key, map(each)]));
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
