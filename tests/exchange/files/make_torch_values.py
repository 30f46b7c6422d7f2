"""Writes torch_values_<version>.pt with the real PyTorch into the folder that is named or else into this one: plain values of
every kind beside tensors, objects of classes that nobody knows, and tensors of every kind. The file here is of 1.13."""

import argparse
import collections
import datetime
import decimal
import enum
import fractions
import os
import pathlib
import sys
import types
import uuid

import numpy as np
import torch

here = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
version = torch.__version__.split("+")[0].rsplit(".", 1)[0]


class Config(dict):
    pass


class Phase(enum.Enum):
    warmup = 1


class Cell:
    def __init__(self, value):
        self.value = value
        self.me = self


class Slotted:
    __slots__ = ("a",)


class Named(torch.Tensor):
    pass


Point = collections.namedtuple("Point", "x y")
slotted = Slotted()
slotted.a = torch.tensor([7.0])
base = torch.arange(6, dtype=torch.float32).reshape(2, 3)
tagged = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
tagged.is_norm = True
long = collections.deque(range(3), maxlen=5)

state = {
    "weight": base,
    "plain": {
        "empty_bytes": b"",
        "bytes": b"\x00\xff",
        "bytearray": bytearray(b"ab"),
        "empty_bytearray": bytearray(),
        "counter": collections.Counter("aab"),
        "default": collections.defaultdict(list, {"a": [1]}),
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
        "deque": long,
        "frozen": frozenset([1, "a"]),
        "empty_frozen": frozenset(),
        "set": {2},
        "empty_set": set(),
        "complex": 1 - 2j,
        "huge": 10**40,
        "ellipsis": ...,
        "tuples": ((), (1,), (1, 2, 3, 4)),
        "surrogates": "\udcff",
    },
    "numpy": {
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
        "big": np.arange(3, dtype=">i4"),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        "scalar_array": np.array(5, np.uint8),
        "empty": np.zeros((0, 3)),
        "texts": np.array([["a", "bc"], ["größe", "😀"]]),
        "byte_texts": np.array([b"a", b"bc"]),
        "complexes": np.array([1j]),
        "objects": np.array([None, "a", torch.tensor([9.0])], dtype=object),
        "dates": np.array(["2026-01-01"], "M8[D]"),
        "records": np.zeros(2, [("x", "<f4"), ("y", "<i4")]),
        "f16": np.float16(0.5),
        "u64": np.uint64(2**64 - 1),
        "flag": np.bool_(True),
        "text": np.str_("größe"),
        "byte_text": np.bytes_(b"ab"),
        "complex": np.complex64(1 + 2j),
        "date": np.datetime64("2026-01-01"),
        "dtype": np.dtype("float32"),
        "big_dtype": np.dtype(">u2"),
        "record_dtype": np.dtype([("x", "<f4")]),
        "class": np.float32,
        "random": np.random.RandomState(0).get_state(),
        "generator": np.random.default_rng(0),
        "masked": np.ma.array([1.0, 2.0], mask=[True, False]),
    },
    "objects": {
        "date": datetime.date(2026, 1, 2),
        "time": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
        "delta": datetime.timedelta(seconds=1),
        "path": pathlib.PurePosixPath("a/b"),
        "enum": Phase.warmup,
        "decimal": decimal.Decimal("1.5"),
        "fraction": fractions.Fraction(1, 3),
        "uuid": uuid.UUID(int=5),
        "namespace": argparse.Namespace(lr=0.1, weight=torch.tensor([5.0])),
        "simple": types.SimpleNamespace(a=1),
        "named": Point(1, torch.tensor([6.0])),
        "config": Config(a=1, weight=torch.tensor([8.0])),
        "cell": Cell(torch.tensor([4.0])),
        "slotted": slotted,
        "function": os.path.join,
        "class": Cell,
        "range": range(3),
        "slice": slice(1, 2),
        "type": type(None),
        "method": {}.get,
    },
    "torch": {
        "size": base.shape,
        "dtype": torch.bfloat16,
        "device": torch.device("cuda:1"),
        "layout": torch.strided,
        "storage": torch.tensor([1.0]).storage(),
        "module": torch.nn.Linear(2, 1),
    },
    "kinds": {
        "parameter": torch.nn.Parameter(base),
        "tagged": tagged,
        "sparse": base.to_sparse(),
        "csr": base.to_sparse_csr(),
        "quantized": torch.quantize_per_tensor(base, 0.1, 0, torch.qint8),
        "meta": base.to("meta"),
        "named": base.as_subclass(Named),
        "complex": torch.tensor([1j]),
    },
}
if version == "1.13":
    del state["kinds"]["named"]
torch.save(state, os.path.join(here, f"torch_values_{version}.pt"))
