"""Prints as JSON what cairn_reader.py says of files: `python3 cairn_reader_check.py plain|numpy FILES`."""
import json, math, os, struct, sys, tempfile, zlib

if sys.argv[1] == "plain":
    sys.modules["numpy"] = None  # as where it is not installed
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
import cairn_reader

ELEMENTS = 60


def encoded(value):
    """A value as FORMAT.md writes it in a state tree."""
    kind = type(value)
    if value is cairn_reader.UNDEFINED:
        return {"$": "undefined"}
    if kind is cairn_reader.BigInt:
        return {"$": "bigint", "value": str(int(value))}
    if kind is cairn_reader.Date:
        return {"$": "date", "value": value.ms}
    if kind is cairn_reader.TensorRef:
        return {"$": "tensor", "name": value.name, **({"view": value.view} if value.view else {})}
    if kind is float and (not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0)):
        text = "NaN" if math.isnan(value) else "-0" if value == 0 else "Infinity" if value > 0 else "-Infinity"
        return {"$": "number", "value": text}
    if kind in (cairn_reader.Map, cairn_reader.Set):
        return {"$": kind.__name__.lower(), "value": [encoded(item) for item in value]}
    if kind is list:
        return [encoded(item) for item in value]
    if kind is dict:
        return {("$" + key if key[:1] == "$" else key): encoded(item) for key, item in value.items()}
    return value


def seen_tensor(file, name):
    elements = file[name]
    rows = elements.reshape(-1) if hasattr(elements, "reshape") else elements
    tensor = file.tensors[name]
    return {
        "dtype": tensor.dtype,
        "shape": list(elements.shape if hasattr(elements, "shape") else tensor.shape),
        "checksum": zlib.crc32(file.raw(name)),
        "byteLength": len(file.raw(name)),
        "elements": [repr(element) for element in rows[:ELEMENTS].tolist()],
        "array": f"{type(elements).__module__}.{type(elements).__name__}",
    }


def covered(data):
    """Places in the header, the tables, the trailer and each chunk: some bytes that are under a checksum."""
    sections = [struct.unpack_from("<QQ", data, len(data) - 128 + 24 * i) for i in range(4)]
    ranges = [(0, 64), *((start, start + length) for start, length in sections), (len(data) - 128, len(data))]
    chunks = sections[1][1] // 26
    for i in range(chunks):
        start, = struct.unpack_from("<Q", data, sections[1][0] + 8 * i)
        length, = struct.unpack_from("<I", data, sections[1][0] + 8 * chunks + 4 * i)
        ranges.append((start, start + length))
    return sorted({place for start, end in ranges if end > start for place in (start, (start + end) // 2, end - 1)})


def unnoticed(data, path):
    """Places at which a flipped bit was taken for right; the file is not large."""
    missed = []
    for place in covered(data)[:200]:
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        with open(path, "wb") as file:
            file.write(changed)
        try:
            if not list(cairn_reader.Cairn(path).damaged()):
                missed.append(place)
        except cairn_reader.CairnError:
            pass
    return missed


def seen(path, scratch):
    file = cairn_reader.Cairn(path)
    damaged = [f"{name}: {error}" for name, error in file.damaged()]
    is_small = os.path.getsize(path) < 30_000
    return {
        "names": list(file.tensors),
        "tensors": [] if damaged else [seen_tensor(file, name) for name in file.tensors],
        "state": encoded(file.state),
        "metrics": encoded(file.metrics),
        "user": encoded(file.user),
        "damaged": damaged,
        "unnoticed": unnoticed(bytes(file.data), scratch) if is_small and sys.argv[1] == "plain" else [],
    }


with tempfile.TemporaryDirectory() as folder:
    print(json.dumps([seen(path, os.path.join(folder, "changed.cairn")) for path in sys.argv[2:]]))
