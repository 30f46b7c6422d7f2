"""Writes the npy and npz files here with the real NumPy (they were written with NumPy 1.24.2)."""

import os

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))


def path(name):
    return os.path.join(here, name)


arrays = {
    "bool": np.array([True, False]),
    "u8": np.array([1, 255], np.uint8),
    "i8": np.array([-1], np.int8),
    "u16": np.array([65535], np.uint16),
    "i16": np.array([-2], np.int16),
    "u32": np.array([4294967295], np.uint32),
    "i32": np.array([-3], np.int32),
    "u64": np.array([2**64 - 1], np.uint64),
    "i64": np.array(-4, np.int64),
    "f16": np.array([0.5, np.inf], np.float16),
    "f32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "f64": np.arange(24.0).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
    "fortran.i16": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "big": np.arange(6, dtype=">f8").reshape(2, 3),
    "big.fortran": np.asfortranarray(np.arange(6, dtype=">u4").reshape(2, 3)),
    "empty": np.zeros((0, 3), np.float32),
    "text": np.array(["a", "bc"]),
    "complex": np.array([1j]),
    "gewicht.größe": np.array([1.5], np.float32),
}
np.savez(path("numpy.npz"), **arrays)
np.savez_compressed(path("numpy_compressed.npz"), zeros=np.zeros(1000), **{"f32": arrays["f32"]})
np.save(path("object.npy"), np.array([{"a": 1}], dtype=object), allow_pickle=True)
np.save(path("record.npy"), np.zeros(2, dtype=[("x", "<f4"), ("y", "<i4")]))
for major in (1, 2, 3):
    with open(path(f"version_{major}.npy"), "wb") as file:
        np.lib.format.write_array(file, arrays["f32"], version=(major, 0))
