"""Writes the safetensors files here with the real implementation: pip install torch numpy safetensors (they were written with safetensors 0.8.0)."""

import os

import torch
from safetensors.torch import save, save_model

here = os.path.dirname(os.path.abspath(__file__))

tensors = {
    "model.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
    "model.bias": torch.tensor([float("nan"), float("-inf")], dtype=torch.float64),
    "a.bf16": torch.tensor([1.5, -2], dtype=torch.bfloat16),
    "a.f16": torch.tensor([0.5], dtype=torch.float16),
    "bool": torch.tensor([True, False, True]),
    "u8": torch.tensor([1, 255], dtype=torch.uint8),
    "i8": torch.tensor([-1], dtype=torch.int8),
    "i16": torch.tensor([-2], dtype=torch.int16),
    "u16": torch.tensor([65535], dtype=torch.uint16),
    "i32": torch.tensor([-3], dtype=torch.int32),
    "u32": torch.tensor([4294967295], dtype=torch.uint32),
    "i64": torch.tensor(-4, dtype=torch.int64),
    "u64": torch.tensor([5], dtype=torch.uint64),
    "größe 😀": torch.zeros(0, 4),
}
with open(os.path.join(here, "every_dtype.safetensors"), "wb") as file:
    file.write(save(tensors, metadata={"format": "pt"}))


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(2, 2)
        self.head = torch.nn.Linear(2, 2)
        with torch.no_grad():
            self.embed.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
            self.head.bias.copy_(torch.tensor([5.0, 6.0]))
        self.head.weight = self.embed.weight


save_model(Tied(), os.path.join(here, "tied.safetensors"))
