import { bytesAsHex, hexOf } from "../../base/hex.ts";
import { CairnError } from "../../base/errors.ts";
import { PickleReader } from "./pickle_reader.ts";
import { PickleDict, PickleGlobal, PickleObject, PickleSet, type PickleValue } from "./pickle_values.ts";

const MAX_INTEGER_BYTES = 256;
const STOP = 0x2e;

/** What a pickle may refer to. */
export interface PickleHost {
  /** What a global's name stands for; `undefined` for a name of which nothing is known. */
  global(name: string): PickleValue | undefined;
  /** What a persistent id stands for. */
  persistent(id: PickleValue): PickleValue;
  /** Sets the state of an object that a global made; `false` refuses it. */
  build(target: PickleValue, state: PickleValue): boolean;
}

/**
 * The value of a pickle. A pickle is a program for a small machine with a stack. This machine knows only the
 * instructions that build plain values, and of the names that a pickle can call only those that `host` has on its
 * list. Every other name stands for itself: what a pickle does with it is written down in a {@link PickleObject}, and
 * nothing of it is ever looked up or run.
 *
 * @throws CairnError `unsupported` for an instruction that is not on the list; `truncated` or `invalid_file`.
 */
export function runPickle(bytes: Uint8Array, host: PickleHost): PickleValue {
  const machine = new PickleMachine(bytes, host);
  for (;;) {
    const { offset } = machine.reader;
    const opcode = machine.reader.u8();
    if (opcode === STOP) return machine.result();
    const run = INSTRUCTIONS[opcode];
    if (run === undefined) {
      const message = `The pickle has the instruction 0x${hexOf(opcode, 2)} at byte ${offset}, ` +
        "which is not among those that build plain values; it is refused";
      throw new CairnError("unsupported", message, { details: { offset, value: opcode } });
    }
    run(machine);
  }
}

class PickleMachine {
  readonly reader: PickleReader;
  readonly host: PickleHost;
  readonly #memo = new Map<number, PickleValue>();
  #stack: PickleValue[] = [];
  /** The stacks below each mark. */
  readonly #below: PickleValue[][] = [];

  constructor(bytes: Uint8Array, host: PickleHost) {
    this.reader = new PickleReader(bytes);
    this.host = host;
  }

  push(value: PickleValue): void {
    this.#stack.push(value);
  }

  pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined) throw this.invalid("takes from an empty stack");
    return value;
  }

  /** Takes the last value away, or a mark that nothing stands on. */
  drop(): void {
    if (this.#stack.length > 0) this.#stack.pop();
    else this.popToMark();
  }

  top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined) throw this.invalid("looks at an empty stack");
    return value;
  }

  mark(): void {
    this.#below.push(this.#stack);
    this.#stack = [];
  }

  /** Everything since the last mark. */
  popToMark(): PickleValue[] {
    const values = this.#stack;
    const below = this.#below.pop();
    if (below === undefined) throw this.invalid("has no mark");
    this.#stack = below;
    return values;
  }

  remember(index: number): void {
    this.#memo.set(index, this.top());
  }

  get memoSize(): number {
    return this.#memo.size;
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.invalid(`recalls ${index}, which was never remembered`);
    this.push(value);
  }

  result(): PickleValue {
    const value = this.pop();
    if (this.#stack.length > 0 || this.#below.length > 0) throw this.invalid("leaves more than one value");
    if (this.reader.remaining > 0) throw this.invalid(`is followed by ${this.reader.remaining} bytes`);
    return value;
  }

  pushGlobal(module: string, name: string): void {
    const full = `${module}.${name}`;
    this.push(this.host.global(full) ?? new PickleObject(full));
  }

  setItems(pairs: readonly PickleValue[]): void {
    const dict = this.top();
    const items = dict instanceof PickleDict
      ? dict.items
      : dict instanceof PickleObject
      ? dict.entries
      : undefined;
    if (items === undefined || pairs.length % 2 !== 0) {
      throw this.invalid("sets items of something that is no dict");
    }
    for (let i = 0; i < pairs.length; i += 2) {
      items.set(pairs[i] as PickleValue, pairs[i + 1] as PickleValue);
    }
  }

  append(values: readonly PickleValue[]): void {
    const top = this.top();
    const list = top instanceof PickleObject ? top.items : top;
    if (!Array.isArray(list) || Object.isFrozen(list)) {
      throw this.invalid("appends to something that is no list");
    }
    for (const value of values) list.push(value);
  }

  add(values: readonly PickleValue[]): void {
    const set = this.top();
    if (set instanceof PickleObject) return this.append(values);
    if (!(set instanceof PickleSet)) throw this.invalid("adds to something that is no set");
    for (const value of values) set.items.add(value);
  }

  /** Calls what is below `args`, or has it make an object; `keywords` are arguments by name, if any. */
  call(args: PickleValue, keywords?: PickleValue): void {
    const callee = this.pop();
    if (!isTuple(args)) throw this.invalid("calls what is no function");
    const all = keywords === undefined ? args : [...args, keywords];
    if (callee instanceof PickleObject) {
      const isName = callee.args === undefined;
      return this.push(new PickleObject(callee.name, isName ? all : [callee, ...all]));
    }
    if (!(callee instanceof PickleGlobal) || callee.call === undefined) {
      throw this.invalid("calls what is no function");
    }
    this.push(callee.call(all));
  }

  build(): void {
    const state = this.pop();
    const target = this.top();
    if (target instanceof PickleObject) return void (target.state = state);
    if (this.host.build(target, state)) return;
    throw new CairnError(
      "unsupported",
      "The pickle sets the state of an object that has none; it is refused",
    );
  }

  invalid(problem: string): CairnError {
    const { offset } = this.reader;
    return new CairnError("invalid_file", `The pickle is damaged: before byte ${offset} it ${problem}`, {
      details: { offset },
    });
  }
}

/** Whether a value is a Python tuple. */
export function isTuple(value: PickleValue | undefined): value is PickleValue[] {
  return Array.isArray(value) && Object.isFrozen(value);
}

function tuple(values: PickleValue[]): PickleValue[] {
  Object.freeze(values);
  return values;
}

/** Two's complement, little-endian. */
function integer(machine: PickleMachine, byteLength: number): number | bigint {
  if (byteLength < 0 || byteLength > MAX_INTEGER_BYTES) {
    throw machine.invalid(`has an integer of ${byteLength} bytes`);
  }
  const bytes = machine.reader.bytes(byteLength);
  const value = BigInt.asIntN(8 * Math.max(byteLength, 1), BigInt(`0x0${bytesAsHex(bytes.toReversed())}`));
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The instructions that are understood, by opcode; names as in Python's pickletools. */
const INSTRUCTIONS: Readonly<Record<number, (machine: PickleMachine) => void>> = {
  // PROTO
  0x80: (m) => {
    const version = m.reader.u8();
    if (version < 2 || version > 5) throw m.invalid(`has the protocol ${version}, expected 2 to 5`);
  },
  // FRAME
  0x95: (m) => void m.reader.bytes(8),
  // NONE, NEWTRUE, NEWFALSE
  0x4e: (m) => m.push(null),
  0x88: (m) => m.push(true),
  0x89: (m) => m.push(false),
  // BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
  0x4a: (m) => m.push(m.reader.i32()),
  0x4b: (m) => m.push(m.reader.u8()),
  0x4d: (m) => m.push(m.reader.u16()),
  0x8a: (m) => m.push(integer(m, m.reader.u8())),
  0x8b: (m) => m.push(integer(m, m.reader.i32())),
  0x47: (m) => m.push(m.reader.f64()),
  // BINUNICODE, SHORT_BINUNICODE, BINBYTES, SHORT_BINBYTES
  0x58: (m) => m.push(m.reader.text(m.reader.u32())),
  0x8c: (m) => m.push(m.reader.text(m.reader.u8())),
  0x42: (m) => m.push(m.reader.bytes(m.reader.u32()).slice()),
  0x43: (m) => m.push(m.reader.bytes(m.reader.u8()).slice()),
  // BINUNICODE8, BINBYTES8, BYTEARRAY8
  0x8d: (m) => m.push(m.reader.text(m.reader.u64())),
  0x8e: (m) => m.push(m.reader.bytes(m.reader.u64()).slice()),
  0x96: (m) => m.push(m.reader.bytes(m.reader.u64()).slice()),
  // POP, POP_MARK, DUP
  0x30: (m) => m.drop(),
  0x31: (m) => void m.popToMark(),
  0x32: (m) => m.push(m.top()),
  // MARK, EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3
  0x28: (m) => m.mark(),
  0x29: (m) => m.push(tuple([])),
  0x74: (m) => m.push(tuple(m.popToMark())),
  0x85: (m) => m.push(tuple([m.pop()])),
  0x86: (m) => m.push(tuple([m.pop(), m.pop()].reverse())),
  0x87: (m) => m.push(tuple([m.pop(), m.pop(), m.pop()].reverse())),
  // EMPTY_LIST, LIST, APPEND, APPENDS
  0x5d: (m) => m.push([]),
  0x6c: (m) => m.push(m.popToMark()),
  0x61: (m) => {
    const value = m.pop();
    m.append([value]);
  },
  0x65: (m) => {
    const values = m.popToMark();
    m.append(values);
  },
  // EMPTY_DICT, SETITEM, SETITEMS
  0x7d: (m) => m.push(new PickleDict()),
  0x73: (m) => {
    const value = m.pop();
    m.setItems([m.pop(), value]);
  },
  0x75: (m) => {
    const pairs = m.popToMark();
    m.setItems(pairs);
  },
  // EMPTY_SET, ADDITEMS
  0x8f: (m) => m.push(new PickleSet()),
  0x90: (m) => {
    const values = m.popToMark();
    m.add(values);
  },
  // FROZENSET
  0x91: (m) => {
    const set = new PickleSet();
    for (const value of m.popToMark()) set.items.add(value);
    m.push(set);
  },
  // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
  0x71: (m) => m.remember(m.reader.u8()),
  0x72: (m) => m.remember(m.reader.u32()),
  0x94: (m) => m.remember(m.memoSize),
  0x68: (m) => m.recall(m.reader.u8()),
  0x6a: (m) => m.recall(m.reader.u32()),
  // GLOBAL, STACK_GLOBAL
  0x63: (m) => m.pushGlobal(m.reader.line(), m.reader.line()),
  0x93: (m) => {
    const name = m.pop();
    const module = m.pop();
    if (typeof name !== "string" || typeof module !== "string") throw m.invalid("has a name that is no text");
    m.pushGlobal(module, name);
  },
  // REDUCE, NEWOBJ, NEWOBJ_EX, BUILD, BINPERSID
  0x52: (m) => m.call(m.pop()),
  0x81: (m) => m.call(m.pop()),
  0x92: (m) => {
    const keywords = m.pop();
    m.call(m.pop(), keywords);
  },
  0x62: (m) => m.build(),
  0x51: (m) => m.push(m.host.persistent(m.pop())),
};
