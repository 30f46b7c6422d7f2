"""Reads .cairn files of version 1 with Python alone (3.8 or newer), and with NumPy where it is installed.

    python3 cairn_reader.py FILE [NAME]    lists tensors and state and verifies all checksums, or prints a tensor

    file = cairn_reader.Cairn("step-100.cairn")
    file["model.weight"]   a NumPy array; without NumPy an array.array of its elements, row by row
    file.raw(name)         its bytes as in memory; file.tensors[name] has its dtype and shape
    file.state             dict, list, str, int, float, bool, None; BigInt, Date, Map, Set, TensorRef, UNDEFINED

Elements of bf16 come as f32 of the same value, those of f16 without NumPy too. Written from FORMAT.md alone. What it
gives has the right checksums; it does not look for all faults of a writer that FORMAT.md tells a reader to refuse.
"""
import array, bisect, collections, functools, io, itertools, json, mmap, struct, sys, zlib
try:
    import numpy
except ImportError:
    numpy = None
NAMES = "- bool u8 i8 u16 i16 u32 i32 u64 i64 f16 bf16 f32 f64".split()  # of dtypes, by number
CODES = dict(zip(NAMES, "-?BbHhIiQqeHfd"))  # of elements, in Python's modules array and struct, and in NumPy
Tensor = collections.namedtuple("Tensor", "dtype shape start byte_length")
TensorRef, Date = collections.namedtuple("TensorRef", "name view"), collections.namedtuple("Date", "ms")
BigInt, Map, Set = (type(name, (base,), {}) for name, base in (("BigInt", int), ("Map", list), ("Set", list)))
UNDEFINED = type("Undefined", (), {"__repr__": lambda self: "UNDEFINED"})()

class CairnError(Exception):
    """What was found, after the code that FORMAT.md has for it."""

def need(holds, code, message):
    if not holds:
        raise CairnError(f"{code}: {message}")

def check(data, checksum, what):
    need(zlib.crc32(data) == checksum, "checksum_mismatch", f"{what} does not have the checksum {checksum:08x}")
    return data

def unpack(types, data, at=0):
    return struct.unpack_from("<" + types, data, at)

# The codecs. Each is given the stored bytes, the raw length, the bytes of an element, and the number of its dtype.
def from_planes(planes, size, is_rotated=False):
    raw = bytearray(size * len(planes[0]))
    for k, plane in enumerate(planes):
        raw[k::size] = plane
    if is_rotated:
        elements = array.array({2: "H", 4: "I", 8: "Q"}[size], bytes(raw))
        raw = array.array(elements.typecode, [x >> 1 | (x & 1) << 8 * size - 1 for x in elements])
    return bytes(raw)

def deflate(stored, raw, size, _, decode=lambda plane, length: zlib.decompressobj().decompress(plane, length)):
    planes, count, at = [], raw // size, 4 * size
    for length in unpack(f"{size}I", stored):
        plane, at = stored[at:at + length], at + length
        planes.append(plane if length == count else decode(plane, count))
    return from_planes(planes, size)

def zstd(*chunk):
    need(sys.version_info >= (3, 14), "unsupported", 'the codec "zstd" needs Python 3.14, which has a decoder for it')
    from compression.zstd import decompress
    return deflate(*chunk, decode=lambda plane, _: decompress(plane))

def huffman(stored, at, n):
    """The n symbols of a coded segment whose content begins at `at`, and where it ends."""
    (a, b), table, code, last, symbols = stored[at:at + 2], [None] * 4096, -1, 0, bytearray()
    lengths = [stored[at + 2 + i // 2] >> 4 * (i % 2) & 15 for i in range(b - a + 1)]
    for length, symbol in sorted((length, a + i) for i, length in enumerate(lengths) if length):
        code, last = code + 1 << length - last, length
        table[int(f"{code:0{length}b}"[::-1], 2)::1 << length] = [(symbol, length)] * (4096 >> length)
    end = at + 18 + (b - a + 2) // 2
    for k, stream in enumerate(unpack("4I", stored, end - 16)):
        window, bits, at, end = 0, 0, end, end + stream
        for _ in range(n * (k + 1) // 4 - n * k // 4):
            if bits < 12:
                window |= int.from_bytes(stored[at:at + 8], "little") << bits
                at, bits = at + 8, bits + 64
            symbol, length = table[window & 4095]
            symbols.append(symbol)
            window, bits = window >> length, bits - length
    return symbols, end

def planes(stored, raw, size, dtype):
    def plane(length):
        nonlocal at
        symbols = bytearray()
        while len(symbols) < length:
            (n, kind), at = unpack("IB", stored, at), at + 5
            need(0 < n <= length - len(symbols), "invalid_container", f"a segment of {n} symbols")
            segment, at = huffman(stored, at, n) if kind == 2 else (
                stored[at:at + n], at + n) if kind == 0 else (stored[at:at + 1] * n, at - -n // 1024)
            symbols += segment
        return symbols
    (e,), count, at = unpack("I", stored), raw // size, 4
    mask = f"{int.from_bytes(plane(-(-count // 8)), 'little'):0{count}b}"[::-1] if e < count else "1" * count
    elements = from_planes([plane(e) for _ in range(size)], size, dtype >= 10)
    items = (elements[i:i + size] for i in range(0, len(elements), size))
    return b"".join(next(items) if bit == "1" else bytes(size) for bit in mask)

def levels(stored, raw, size, dtype):
    def row(count, width):
        nonlocal at
        start, at = at, at + 4 * -(-count * width // 32)
        bits = int.from_bytes(stored[start:at], "little")
        return [bits >> i * width & (1 << width) - 1 for i in range(count)]
    width, p, q = {10: (16, 10, 5), 4: (16, 7, 8), 5: (16, 7, 8), 11: (16, 7, 8)}.get(dtype, (32, 23, 8))
    sizes = [min(1024, n) for n in range(raw // max(size, width // 8), 0, -1024) for _ in range(1 + size // 8)]
    at, groups = 4 + 4 * len(sizes), []
    for n, head in zip(sizes, unpack(f"{len(sizes)}I", stored, 4)):
        kind, x = head >> 19 & 7, head >> 11 & 255
        mask = row(n, 1) if head >> 22 & 1 else [kind < 6] * n
        exponents, high, low, up = [x] * sum(mask), x + 1, x, 0
        rest = range(len(exponents) if kind else 0)  # the items whose exponents are not known yet
        for codes in (row(len(rest), kind) for _ in range(3 if 1 <= kind <= 4 else 0)):
            for i, code in zip(rest, codes):
                exponents[i] = high + code if code < up else low + up - code
            rest = [i for i, code in zip(rest, codes) if code == (1 << kind) - 1]
            high, low, up = high + up, low + up - (1 << kind) + 1, (1 << kind) // 4
        for i, exponent in zip(rest, row(len(rest), q)):
            exponents[i] = exponent
        rests = (value << 8 * (head >> 23 & 3) for value in row(len(exponents), head >> 25))
        items = iter([v >> p << p + q | e << p | v & (1 << p) - 1 for v, e in zip(rests, exponents)])
        groups.append(row(n, width) if kind == 7 else [next(items) if bit else 0 for bit in mask])
    if size == 8:
        groups = (itertools.chain(*zip(low, high)) for low, high in zip(groups[::2], groups[1::2]))
    return array.array("H" if width == 16 else "I", itertools.chain(*groups)).tobytes()

def read_tensors(table, n):
    d, b = unpack("II", table)
    numbers, names = iter(unpack(f"{2 * n + d}Q{n}I{n}H{2 * n}B", table, 8)), io.BytesIO(table[len(table) - b:])
    take = lambda count, of=numbers: tuple(itertools.islice(of, count))
    starts, lengths, sizes, _aliases, name_lengths, dtypes, ranks = map(iter, map(take, (n, n, d, n, n, n, n)))
    return {names.read(name_length).decode(): Tensor(NAMES[dtype], take(rank, sizes), start, length)
            for name_length, dtype, rank, start, length in zip(name_lengths, dtypes, ranks, starts, lengths)}

def state_value(value):
    if not isinstance(value, dict):
        return [state_value(item) for item in value] if isinstance(value, list) else value
    if "$" not in value:
        return {key[key[:1] == "$":]: state_value(item) for key, item in value.items()}
    make = {"undefined": lambda _: UNDEFINED, "number": float, "bigint": BigInt, "date": Date,
            "tensor": lambda _: TensorRef(value["name"], value.get("view")),
            "map": lambda pairs: Map(state_value(pairs)), "set": lambda items: Set(state_value(items))}
    return make[value["$"]](value.get("value"))

class Cairn:
    def __init__(self, path):
        with open(path, "rb") as file:
            data = self.data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        need(data[:8] == b"\x89CRN\r\n\x1a\n", "not_a_container", "it does not begin as a .cairn file does")
        need(len(data) >= 4224 and data[-8:] == b"\x89CRNEND\n", "truncated", "the end of the file is missing")
        check(data[:60], *unpack("I", data, 60), "the header")
        check(data[-128:-12], *unpack("I", data[-12:]), "the trailer")
        need(unpack("II", data, 8) == (1, 0), "unsupported", "another version than 1, or a flag")
        sections = [unpack("QQII", data[-128:], 24 * i) for i in range(4)]
        tables = [check(data[at:at + length], sum, f"the table at {at}") for at, length, sum, _ in sections]
        self.tensors, m = read_tensors(tables[0], sections[0][3]), sections[1][3]
        columns = unpack(f"{m}Q{4 * m}I{2 * m}B", tables[1])
        self.chunks = [columns[i::m] for i in range(m)]
        self.ends = list(itertools.accumulate(chunk[2] for chunk in self.chunks))
        self.chunk = functools.lru_cache(maxsize=1)(self.chunk)  # tensors share chunks
        self.manifest = json.loads(bytes(tables[3]), parse_int=lambda text: (  # a longer integer stands for a double
            int(text) if abs(int(text)) <= 2**53 else float(text)))
        self.state, self.metrics, self.user = map(state_value, map(self.manifest.get, ("state", "metrics", "user")))

    def chunk(self, i):
        """The raw bytes of a chunk, if both of its checksums are right."""
        offset, stored, raw, stored_sum, raw_sum, codec, dtype = self.chunks[i]
        data = bytes(check(self.data[offset:offset + stored], stored_sum, f"chunk {i} as stored"))
        decode = (lambda stored, *_: stored, deflate, planes, zstd, levels)[codec]
        return check(decode(data, raw, struct.calcsize("<" + CODES[NAMES[dtype]]), dtype), raw_sum, f"chunk {i}")

    def raw(self, name):
        _, _, start, length = self.tensors[name]
        first, last = bisect.bisect_right(self.ends, start), bisect.bisect_left(self.ends, start + length)
        start -= sum(self.ends[first - 1:first])
        return b"".join(map(self.chunk, range(first, last + 1 if length else first)))[start:start + length]

    def __getitem__(self, name):
        raw, code = self.raw(name), CODES[self.tensors[name].dtype]
        if self.tensors[name].dtype == "bf16":
            raw, code = from_planes([bytes(len(raw) // 2)] * 2 + [raw[::2], raw[1::2]], 4), "f"
        if numpy:
            return numpy.frombuffer(raw, "<" + code).reshape(self.tensors[name].shape)
        return array.array(*("f", unpack(f"{len(raw) // 2}e", raw)) if code == "e" else (code.replace("?", "B"), raw))

    def damaged(self):
        """Names of tensors whose bytes are not what was written, each with what was found."""
        for name in self.tensors:
            try:
                self.raw(name)
            except CairnError as error:
                yield name, error

if __name__ == "__main__":
    file = Cairn(sys.argv[1])
    if len(sys.argv) > 2:
        sys.exit(print(file[sys.argv[2]]))
    for name, (dtype, shape, *_) in file.tensors.items():
        print(f"{dtype:5}{list(shape)} {name!r}")
    print(f"state {file.state}\nmetrics {file.metrics}\nprovenance {file.manifest['provenance']}\nuser {file.user}")
    sys.exit("\n".join(f"{name}: {error}" for name, error in file.damaged()) or None)
