"""A network as modules of PyTorch: their text, and which of the model's arrays each of them takes.

Link     an array of the model's, as a module has it      Part    a module
Writer   from layers to parts: a layer that PyTorch has becomes PyTorch's, any other a class of its
         own, whose `forward` is the layer's formula, printed
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import indent
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.dims import Shape
from pellucid.interop.formulas import Written, composite, elementwise, formula
from pellucid.nn.layer import Composite, Layer, named_activation
from pellucid.nn.network import Network, Placed

# modules that compute what activations of these names do, to the last digits that they have
ACTIVATIONS = {
    "relu": "nn.ReLU()",
    "sigmoid": "nn.Sigmoid()",
    "tanh": "nn.Tanh()",
    "softmax": "nn.Softmax(dim=-1)",
    "log_softmax": "nn.LogSoftmax(dim=-1)",
    "leaky_relu": "nn.LeakyReLU(0.01)",
    "elu": "nn.ELU()",
    "selu": "nn.SELU()",
    "swish": "nn.SiLU()",
    "silu": "nn.SiLU()",
    "gelu": "nn.GELU()",
    "softplus": "nn.Softplus(threshold=40)",  # beyond 40 it is x, to the last bit; 20 is PyTorch's
    "log_sigmoid": "nn.LogSigmoid()",
}


COUNTS = "num_batches_tracked"  # of PyTorch's batch norm; nothing here depends on it


@dataclass(frozen=True)
class Link:
    """One of the model's arrays, as a module has it; `turned` if rows and columns trade places."""

    name: str
    turned: bool = False


@dataclass(frozen=True)
class Part:
    """A module: the text that makes it, and its arrays, by the names that they have in it."""

    text: str
    arrays: Mapping[str, Link] = field(default_factory=dict)

    def under(self, prefix: str) -> dict[str, Link]:
        """Return its arrays by the names that they have in a module that holds it."""
        return {f"{prefix}.{key}": link for key, link in self.arrays.items()}


class Writer:
    """A network in PyTorch, in the making: its parts, and what has to be written before them."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.classes: dict[str, str] = {}  # the text of each, by name
        self.shared: dict[str, str] = {}  # the text of what is used in several places, by variable
        self.names: dict[
            tuple[str, int], str
        ] = {}  # of the variables: (what is shared, which part)

    def stack(self, placed: Sequence[Placed], shape: Shape) -> list[Part]:
        """Return the modules of layers in a row, for inputs of this shape."""
        parts: list[Part] = []
        for one in placed:
            parts += self.layer(one, shape)
            shape = one.shape
        return parts

    def layer(self, placed: Placed, shape: Shape) -> list[Part]:
        """Return the modules of one layer: none for what does nothing, two for two steps."""
        layer = placed.layer
        if isinstance(layer, Composite):
            return [self._composite(placed, shape)]
        if isinstance(layer, nn.Shared):
            inner = Placed(layer.layer, placed.owner, placed.number, placed.shape)
            return [self._once(layer.name, k, p) for k, p in enumerate(self.layer(inner, shape))]
        known = TABLE.get(type(layer))
        found = known(self, layer, placed, shape) if known else None
        return [self._formula(placed, shape)] if found is None else found

    def activation(self, chosen: Any, shape: Shape) -> list[Part]:
        """Return the module of an activation."""
        name = named_activation(chosen)
        if name in nn.layer.LINEAR:
            return []
        if not callable(chosen) and name in ACTIVATIONS:
            return [Part(ACTIVATIONS[name])]
        return [Part(f"{self.enter(elementwise(chosen, shape, self.dtype))}()")]

    def _formula(self, placed: Placed, shape: Shape) -> Part:
        written = formula(placed, shape, self.dtype)
        links = {key: Link(name) for key, name in placed.owner}
        return Part(f"{self.enter(written)}()", links)

    def _composite(self, placed: Placed, shape: Shape) -> Part:
        written, branches = composite(placed, shape, self.dtype)
        found = {f"branch{k}": single(self.stack(b.placed, b.shape))
                 for k, b in enumerate(branches, 1)}  # fmt: skip
        links = {k: v for name, part in found.items() for k, v in part.under(name).items()}
        return Part(called(self.enter(written), [p.text for p in found.values()]), links)

    def enter(self, written: Written) -> str:
        """Enter a class and return its name: another number for another text."""
        name, k = written.name, 1
        while self.classes.get(name, written.text(name)) != written.text(name):
            k += 1
            name = f"{written.name}{k}"
        self.classes[name] = written.text(name)
        return name

    def _once(self, name: str, k: int, part: Part) -> Part:
        """Give a module that is used in several places a variable."""
        variable = self.names.setdefault((name, k), f"shared{len(self.names) + 1}")
        self.shared.setdefault(variable, part.text)
        return Part(variable, part.arrays)


def single(parts: Sequence[Part]) -> Part:
    """Return several modules in a row as one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Part("nn.Identity()")
    links = {key: link for k, p in enumerate(parts) for key, link in p.under(str(k)).items()}
    return Part(called("nn.Sequential", [p.text for p in parts]), links)


def called(name: str, given: Sequence[str], room: int = 60) -> str:
    """Write a call, in one line where that is short."""
    line = f"{name}({', '.join(given)})"
    if "\n" not in line and len(line) <= room:
        return line
    inside = "".join(f"{indent(text, '    ')},\n" for text in given)
    return f"{name}(\n{inside})"


# -- layers that PyTorch has ---------------------------------------------------------------------

Known = Callable[[Writer, Any, Placed, Shape], "list[Part] | None"]


def _dense(writer: Writer, layer: nn.Dense, placed: Placed, shape: Shape) -> list[Part]:
    owner = dict(placed.owner)
    bias = "" if layer.bias else ", bias=False"
    links = {"weight": Link(owner["W"], turned=True)}
    links |= {"bias": Link(owner["b"])} if layer.bias else {}
    linear = Part(f"nn.Linear({shape[0]}, {layer.units}{bias})", links)
    return [linear, *writer.activation(layer.activation, placed.shape)]


def _activation(writer: Writer, layer: nn.Activation, placed: Placed, shape: Shape) -> list[Part]:
    return writer.activation(layer.function, shape)


def _dropout(writer: Writer, layer: nn.Dropout, placed: Placed, shape: Shape) -> list[Part]:
    return [Part(f"nn.Dropout({layer.rate!r})")]


def _flatten(writer: Writer, layer: nn.Flatten, placed: Placed, shape: Shape) -> list[Part]:
    return [Part("nn.Flatten()")]


NORMS = {"gamma": "weight", "beta": "bias"}


def _batch_norm(
    writer: Writer, layer: nn.BatchNorm, placed: Placed, shape: Shape
) -> list[Part] | None:
    """PyTorch's takes features first, and either learns both scale and shift or neither."""
    if len(shape) != 1 or layer.scale != layer.shift:
        return None
    settings = f"eps={layer.eps!r}, momentum={layer.momentum!r}, affine={layer.scale!r}"
    links = {NORMS.get(key, key): Link(name) for key, name in placed.owner}
    text = f"nn.BatchNorm1d({shape[0]}, {settings})"
    return [Part(text, {**links, COUNTS: Link("")})]


def _layer_norm(
    writer: Writer, layer: nn.LayerNorm, placed: Placed, shape: Shape
) -> list[Part] | None:
    """PyTorch's has no shift without a scale."""
    if layer.shift and not layer.scale:
        return None
    settings = f"eps={layer.eps!r}, elementwise_affine={layer.scale!r}, bias={layer.shift!r}"
    links = {NORMS[key]: Link(name) for key, name in placed.owner}
    return [Part(f"nn.LayerNorm({shape[-1]}, {settings})", links)]


def _alpha_dropout(
    writer: Writer, layer: nn.AlphaDropout, placed: Placed, shape: Shape
) -> list[Part]:
    return [Part(f"nn.AlphaDropout({layer.rate!r})")]


def _embedding(writer: Writer, layer: nn.Embedding, placed: Placed, shape: Shape) -> list[Part]:
    """PyTorch's takes integers alone; here codes come in the precision of the model."""
    name = writer.enter(CODES)
    links = {"weight": Link(dict(placed.owner)["E"])}
    return [Part(f"{name}({layer.vocabulary}, {layer.size})", links)]


CODES = Written(
    "Embedding",
    "def forward(self, x):\n    return nn.Embedding.forward(self, x.long())",
    base="nn.Embedding",
)
TABLE: dict[type[Layer], Known] = {
    nn.Dense: _dense,
    nn.Activation: _activation,
    nn.Dropout: _dropout,
    nn.Flatten: _flatten,
    nn.BatchNorm: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.AlphaDropout: _alpha_dropout,
    nn.Embedding: _embedding,
}


# -- a whole network -----------------------------------------------------------------------------

HEAD = '''"""A network written by pellucid for PyTorch: from rows of X to scores.

Its weights come with load_state_dict; `network()` alone starts with PyTorch's own.
"""'''


@dataclass(frozen=True)
class Module:
    """A whole network in PyTorch: its source, and the model's arrays by their names in it."""

    source: str
    links: Mapping[str, Link]
    counts: tuple[str, ...]  # what PyTorch counts besides
    texts: tuple[str, ...]  # of its parts, in order


def module(net: Network, dtype: np.dtype[Any]) -> Module:
    """Return a network as a module: text that PyTorch runs, and where the arrays go."""
    writer = Writer(dtype)
    parts = writer.stack(net.placed, net.input_shape)
    every = {key: link for k, p in enumerate(parts) for key, link in p.under(str(k)).items()}
    links = {key: link for key, link in every.items() if link.name}
    counts = tuple(key for key in every if key not in links)
    frozen = {s.name for s in net.fixed if s.kind == "frozen"}
    held = [key for key, link in links.items() if link.name in frozen]
    whole = "\n".join(
        [*(f"{k} = {v}" for k, v in writer.shared.items()), *_made(parts, held, dtype)]
    )
    body = f"def network():\n{indent(whole, '    ')}\n"
    text = "\n\n\n".join([*writer.classes.values(), body])
    imports = [*(["import torch"] if "torch." in text else []), "from torch import nn"]
    source = "\n\n".join([HEAD, "\n".join(imports)]) + "\n\n\n" + text
    return Module(source, links, counts, tuple(p.text for p in parts))


def _made(parts: Sequence[Part], held: Sequence[str], dtype: np.dtype[Any]) -> Iterator[str]:
    """Write the lines that make the network, leave out what is frozen, and return it."""
    stack = called("nn.Sequential", [p.text for p in parts], room=30)
    cast = ".to(torch.float64)" if dtype == np.float64 else ""
    if not held:
        yield f"return {stack}{cast}"
        return
    yield f"model = {stack}{cast}"
    for key in held:
        yield f'model.get_parameter("{key}").requires_grad_(False)'
    yield "return model"
