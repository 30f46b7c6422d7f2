"""Writes small cases of PyTorch's layers, losses and optimisers, with what it makes of them in float64, to
tests/nn/torch/cases.json. Needs Debian's python3-torch; `python3 tools/torch_cases.py` from the root.

Numbers that go in are multiples of 1/64, which are exact in f32. A case names what the test builds; the test keeps
the same list and says which call of Cairn each one is.
"""
import json
import math
import os
import random

import torch
import torch.nn.functional as F
from torch import nn

torch.set_default_dtype(torch.float64)
generator = random.Random(5)


def numbers(shape, low=-128, high=128):
    count = math.prod(shape)
    return torch.tensor([generator.randrange(low, high) / 64 for _ in range(count)]).reshape(shape)


def told(tensor):
    """The elements of a tensor, one row after the other."""
    return [float(f"{x:.9g}") for x in tensor.detach().flatten().tolist()]


def factors(shape):
    """What the elements of an output are multiplied by before they are added up to the number that is derived."""
    count = math.prod(shape)
    return torch.tensor([math.cos(at + 1) for at in range(count)]).reshape(shape)


def layer_case(name, module, shape, rename=None, call=None, whole=False):
    """Output and gradients of a module. `rename` gives the parameters as Cairn has them, name by name."""
    for parameter in module.parameters():
        parameter.data = numbers(parameter.shape, -64, 64)
    x = torch.tensor([generator.randrange(0, 5) for _ in range(math.prod(shape))]).reshape(shape) if whole \
        else numbers(shape).requires_grad_()
    output = (call or (lambda m, v: m(v)))(module, x)
    (output * factors(output.shape)).sum().backward()
    rename = rename or (lambda own: own)
    parameters = rename({own: value for own, value in module.named_parameters()})
    gradients = rename({own: value.grad for own, value in module.named_parameters()})
    return {
        "name": name,
        "shape": list(shape),
        "x": x.flatten().tolist() if whole else told(x),
        "parameters": {own: {"shape": list(value.shape), "values": told(value)} for own, value in parameters.items()},
        "outputShape": list(output.shape),
        "output": told(output),
        "gradients": {own: told(value) for own, value in gradients.items()},
        **({} if whole else {"inputGradient": told(x.grad)}),
    }


def attention_names(own):
    """Query, key and value are one matrix in PyTorch."""
    parts = ["query", "key", "value"]
    named = {}
    for kind in ["weight", "bias"]:
        for part, piece in zip(parts, own[f"in_proj_{kind}"].chunk(3)):
            named[f"{part}.{kind}"] = piece
        named[f"output.{kind}"] = own[f"out_proj.{kind}"]
    return named


def attention(is_causal):
    def call(module, x):
        length = x.shape[1]
        mask = torch.triu(torch.ones(length, length, dtype=torch.bool), 1) if is_causal else None
        return module(x, x, x, attn_mask=mask, need_weights=False)[0]
    return call


def first_of(module, x):
    """The outputs of a recurrent module, without its last state."""
    return module(x)[0]


class RmsNorm(nn.Module):
    """Of PyTorch's primitives, since 1.13 has none: Zhang and Sennrich 2019."""

    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 2 ** -23) * self.weight


def layers():
    yield layer_case("linear", nn.Linear(5, 3), (4, 5))
    yield layer_case("linear without a bias", nn.Linear(5, 3, bias=False), (4, 5))
    yield layer_case("conv1d", nn.Conv1d(2, 3, 3, stride=2, padding=2, dilation=2), (2, 2, 9))
    yield layer_case("conv2d", nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0)), (2, 2, 5, 6))
    yield layer_case("conv2d with groups and dilation", nn.Conv2d(4, 6, 2, groups=2, dilation=2), (1, 4, 5, 5))
    yield layer_case("depthwise conv2d", nn.Conv2d(3, 3, 3, groups=3, padding=1, bias=False), (2, 3, 4, 5))
    yield layer_case("convTranspose2d", nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1),
                     (2, 3, 3, 4))
    yield layer_case("maxPool1d", nn.MaxPool1d(3, stride=2, padding=1), (2, 2, 8))
    yield layer_case("maxPool2d", nn.MaxPool2d(2), (2, 2, 4, 6))
    yield layer_case("avgPool1d", nn.AvgPool1d(3, stride=2), (2, 2, 9))
    yield layer_case("avgPool2d", nn.AvgPool2d((2, 3), stride=(2, 1), padding=(1, 1)), (1, 2, 4, 5))
    yield layer_case("upsample nearest", nn.Upsample(scale_factor=2), (1, 2, 3, 2))
    yield layer_case("upsample bilinear", nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 3, 4))
    yield layer_case("layerNorm", nn.LayerNorm(7), (3, 2, 7))
    yield layer_case("groupNorm", nn.GroupNorm(2, 6), (2, 6, 3))
    yield layer_case("rmsNorm", RmsNorm(7), (4, 7))
    yield layer_case("batchNorm in training", nn.BatchNorm1d(4), (3, 4, 5))
    yield layer_case("batchNorm of images in training", nn.BatchNorm2d(2), (2, 2, 3, 3))
    yield layer_case("lstm", nn.LSTM(3, 4, batch_first=True), (2, 5, 3), call=first_of)
    yield layer_case("lstm of two layers, both ways", nn.LSTM(3, 2, 2, batch_first=True, bidirectional=True),
                     (2, 4, 3), call=first_of)
    yield layer_case("gru", nn.GRU(3, 4, batch_first=True), (2, 5, 3), call=first_of)
    yield layer_case("simpleRnn", nn.RNN(3, 4, batch_first=True), (2, 5, 3), call=first_of)
    yield layer_case("embedding", nn.Embedding(5, 3), (2, 4), whole=True)
    yield layer_case("multiHeadAttention", nn.MultiheadAttention(8, 2, batch_first=True), (2, 5, 8),
                     attention_names, attention(False))
    yield layer_case("causal multiHeadAttention", nn.MultiheadAttention(8, 4, batch_first=True), (2, 5, 8),
                     attention_names, attention(True))
    activations = [
        ("relu", nn.ReLU()), ("leakyRelu", nn.LeakyReLU(0.2)), ("elu", nn.ELU(0.7)), ("selu", nn.SELU()),
        ("silu", nn.SiLU()), ("mish", nn.Mish()), ("hardSwish", nn.Hardswish()), ("gelu", nn.GELU()),
        ("gelu by tanh", nn.GELU("tanh")), ("sigmoid", nn.Sigmoid()), ("logSigmoid", nn.LogSigmoid()),
        ("softplus", nn.Softplus()), ("tanh", nn.Tanh()),
    ]
    for name, module in activations:
        yield layer_case(name, module, (3, 7))


def loss_case(name, of, output, labels, dtype="f32"):
    output = output.requires_grad_()
    loss = of(output, labels)
    loss.backward()
    return {
        "name": name,
        "outputShape": list(output.shape),
        "output": told(output),
        "labelShape": list(labels.shape),
        "labelDType": dtype,
        "labels": told(labels) if dtype == "f32" else labels.flatten().tolist(),
        "loss": told(loss)[0],
        "gradient": told(output.grad),
    }


def probabilities(shape):
    return torch.softmax(numbers(shape), -1).float().double()


def losses():
    weights = torch.tensor([0.5, 2, 1, 0.25])
    classes = torch.tensor([0, 3, 1, 2, 3, 1])
    some = torch.tensor([0, -100, 1, 2, -100, 1])
    yield loss_case("crossEntropy", F.cross_entropy, numbers((6, 4)), classes, "i32")
    yield loss_case("crossEntropy with weights and smoothing",
                    lambda x, y: F.cross_entropy(x, y, weight=weights, label_smoothing=0.1),
                    numbers((6, 4)), classes, "i32")
    yield loss_case("crossEntropy with ignored labels", F.cross_entropy, numbers((6, 4)), some, "i32")
    yield loss_case("crossEntropy of soft labels", F.cross_entropy, numbers((6, 4)), probabilities((6, 4)))
    yield loss_case("crossEntropy of sequences", lambda x, y: F.cross_entropy(x.transpose(1, 2), y),
                    numbers((2, 3, 4)), classes.reshape(2, 3), "i32")
    yield loss_case("nll with weights", lambda x, y: F.nll_loss(x, y, weight=weights),
                    -numbers((6, 4), 1, 200), classes, "i32")
    yes = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.5]])
    yield loss_case("binaryCrossEntropy", F.binary_cross_entropy_with_logits, numbers((2, 3)), yes)
    yield loss_case("binaryCrossEntropy with positiveWeight",
                    lambda x, y: F.binary_cross_entropy_with_logits(x, y, pos_weight=torch.tensor([2.0, 0.5, 3.0])),
                    numbers((2, 3)), yes)
    yield loss_case("mse", F.mse_loss, numbers((4, 3)), numbers((4, 3)))
    yield loss_case("mae", F.l1_loss, numbers((4, 3)), numbers((4, 3)))
    yield loss_case("huber", lambda x, y: F.huber_loss(x, y, delta=0.5), numbers((4, 3)), numbers((4, 3)))
    yield loss_case("klDivergence", lambda x, y: F.kl_div(x, y, reduction="batchmean"),
                    -numbers((4, 3), 1, 200), probabilities((4, 3)))
    yield loss_case("klDivergence of logarithms",
                    lambda x, y: F.kl_div(x, y, reduction="batchmean", log_target=True),
                    -numbers((4, 3), 1, 200), -numbers((4, 3), 1, 200))
    yield loss_case("cosineSimilarity",
                    lambda x, y: F.cosine_embedding_loss(x, y, torch.ones(4)),
                    numbers((4, 3), 1, 128), numbers((4, 3), 1, 128))


STEPS = 20


def optimizer_case(name, make):
    """20 steps whose gradients are given. No gradient is near 0, so that no sign is left to rounding."""
    first = numbers((6,))
    parameter = nn.Parameter(first.clone())
    optimizer = make([parameter])
    gradients = []
    for _ in range(STEPS):
        gradient = numbers((6,), 8, 128) * torch.sign(numbers((6,)) + 1 / 128)
        gradients.append(told(gradient))
        parameter.grad = gradient
        optimizer.step()
    return {"name": name, "first": told(first), "gradients": gradients, "last": told(parameter)}


def optimizers():
    o = torch.optim
    yield optimizer_case("sgd", lambda p: o.SGD(p, lr=0.05))
    yield optimizer_case("sgd with momentum, dampening and decay",
                         lambda p: o.SGD(p, lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.1))
    yield optimizer_case("sgd with Nesterov's momentum",
                         lambda p: o.SGD(p, lr=0.05, momentum=0.9, nesterov=True))
    yield optimizer_case("adam", lambda p: o.Adam(p))
    yield optimizer_case("adam with decay", lambda p: o.Adam(p, lr=0.01, betas=(0.8, 0.95), weight_decay=0.1))
    yield optimizer_case("adamw", lambda p: o.AdamW(p))
    yield optimizer_case("adamax", lambda p: o.Adamax(p))
    yield optimizer_case("adagrad", lambda p: o.Adagrad(p, lr_decay=0.1, initial_accumulator_value=0.2))
    yield optimizer_case("adadelta", lambda p: o.Adadelta(p))
    yield optimizer_case("rmsprop", lambda p: o.RMSprop(p))
    yield optimizer_case("rmsprop, centered, with momentum",
                         lambda p: o.RMSprop(p, centered=True, momentum=0.5))


cases = {
    "torch": torch.__version__,
    "layers": list(layers()),
    "losses": list(losses()),
    "optimizers": list(optimizers()),
}
target = os.path.join(os.path.dirname(__file__), "..", "tests", "nn", "torch", "cases.json")
with open(target, "w") as file:
    # One case a line, so that a change of one is seen as one.
    lines = [f'"torch": {json.dumps(cases["torch"])}']
    for kind in ["layers", "losses", "optimizers"]:
        rows = ",\n".join("    " + json.dumps(case) for case in cases[kind])
        lines.append(f'"{kind}": [\n{rows}\n  ]')
    file.write("{\n  " + ",\n  ".join(lines) + "\n}\n")
print(os.path.getsize(target), "bytes")
