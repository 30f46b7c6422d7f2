"""Writes torch_<version>.pt with the real PyTorch, and what it holds as text beside it, into the folder that is named or
else into this one. The files here were written with 1.13 and 2.13."""

import json
import os
import sys

import numpy as np
import torch

here = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
version = torch.__version__.split("+")[0].rsplit(".", 1)[0]
torch.manual_seed(0)

model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
model(torch.arange(12.0).reshape(4, 3)).square().sum().backward()
optimizer.step()

base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
tied = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
tensors = {
    "base": base,
    "transposed": base.transpose(0, 2),
    "sliced": base[1, 1:, ::2],
    "offset": base[1],
    "expanded": torch.tensor([7.0]).expand(3, 2),
    "wide": torch.arange(6, dtype=torch.int64).reshape(2, 3).t(),
    "half": torch.arange(6, dtype=torch.float16).reshape(2, 3).t(),
    "bytes": torch.arange(6, dtype=torch.uint8).reshape(2, 3).t(),
    "scalar": torch.tensor(-4, dtype=torch.int64),
    "empty": torch.zeros(0, 3),
    "bfloat16": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "float64": torch.tensor([float("inf"), -0.0], dtype=torch.float64),
    "int8": torch.tensor([-1], dtype=torch.int8),
    "int16": torch.tensor([-2], dtype=torch.int16),
    "int32": torch.tensor([-3], dtype=torch.int32),
    "bool": torch.tensor([True, False]),
    "tied.a": tied,
    "tied.b": tied,
    "complex": torch.tensor([1j]),
}
if hasattr(torch, "uint16"):
    tensors["uint16"] = torch.tensor([65535], dtype=torch.uint16)
    tensors["uint64"] = torch.tensor([2**64 - 1], dtype=torch.uint64)
    tensors["float8"] = torch.tensor([1.0]).to(torch.float8_e4m3fn)

state = {
    "model": model.state_dict(),
    "optimizer": optimizer.state_dict(),
    "tensors": tensors,
    "epoch": 3,
    "none": None,
    "large": [2**31, -(2**40), 2**70, -1, 255, 65536],
    "floats": (0.1, float("nan"), -0.0),
    "text": "größe 😀",
    "best": np.float64(0.25),
    "count": np.int64(-5),
    "size": base.shape,
    "dtype": torch.float16,
    "device": torch.device("cpu"),
    "seen": {"a"},
    "flags": [True, False],
    "by_number": {0: "zero", 1: "one"},
}
torch.save(state, os.path.join(here, f"torch_{version}.pt"))

skipped = ("complex", "float8")
everything = {**{f"model.{n}": t for n, t in model.state_dict().items()},
              **{f"tensors.{n}": t for n, t in tensors.items() if n not in skipped}}
for index, slots in optimizer.state_dict()["state"].items():
    for slot, value in slots.items():
        if isinstance(value, torch.Tensor):
            everything[f"optimizer.state.{index}.{slot}"] = value
expected = {}
for name, tensor in everything.items():
    dense = tensor.detach().contiguous().clone()
    raw = dense.untyped_storage() if hasattr(dense, "untyped_storage") else dense.storage().untyped()
    expected[name] = [str(tensor.dtype)[6:], list(tensor.shape), bytes(raw.tolist()).hex()]
with open(os.path.join(here, f"torch_{version}.json"), "w") as file:
    json.dump(expected, file, indent=0, sort_keys=True)
    file.write("\n")
