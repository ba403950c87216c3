"""Values, slopes and slopes of slopes, against PyTorch in float64: relative error at most 1e-12.

Each op with its `torch` text, over shapes, axes and broadcasting; then public functions and losses
that PyTorch knows under names of its own.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_ops import BROADCASTS, FLAT, SPECIAL, _attrs, _sample

import pellucid as pc
from pellucid.graph import Node, build
from pellucid.op import OPS
from pellucid.ops.core import normal_axis

torch = pytest.importorskip(
    "torch", reason="PyTorch is the reference here: pip install -e '.[conformance]'"
)
pytestmark = pytest.mark.conformance
F = torch.nn.functional
TOLERANCE = 1e-12

SHAPES = [(), (1,), (5,), (2, 3), (3, 1), (2, 1, 4), (0, 3), (2, 3, 4)]
EQUAL_SHAPES = ("clip", "bernoulli", "bernoulli_logits")  # which PyTorch asks for, or fails without
AXES = [None, 0, 1, -1, (0, 1), (1, 2), (0, 2), (0, 1, 2), (-1, 0)]


def _cross_entropy(p, y):
    """PyTorch's own adds 1e-12 in its second derivative, and so is off by up to 1e-10 there."""
    return -(y * torch.log(p) + (1 - y) * torch.log1p(-p))


REFERENCES = {
    "bernoulli": _cross_entropy,
    "einstein_sum": lambda *xs, subscripts: torch.einsum(subscripts, *xs),
}


WHOLE = ("all", "any", "prod")  # which PyTorch takes over one axis or all, not over several


def _cases():
    """Yield (op, shapes, settings, seed) for everything that the registry says PyTorch has."""
    for name, op in OPS.items():
        if op.torch and name not in SPECIAL and name != "astype":
            axes = "axis" in op.settings and len(op.operands) == 1 and name not in WHOLE
            yield from _map_cases(op) if op.kind == "map" else _axis_cases(op) if axes else _own(op)


def _map_cases(op):
    pairs = [(*pair, (2, 3))[: len(op.operands)] for pair in BROADCASTS]
    lists = [(s,) for s in SHAPES] if len(op.operands) == 1 else pairs
    if op.name in EQUAL_SHAPES:
        lists = [shapes for shapes in lists if len(set(shapes)) == 1]
    return itertools.product([op.name], map(tuple, lists), op.examples, range(3))


def _axis_cases(op):
    if "keepdims" in op.settings and op.kind == "reduce":
        settings = [{"axis": a, "keepdims": k} for a in AXES for k in (False, True)]
    else:
        settings = [{"axis": axis} for axis in (0, 1, 2)]
    return itertools.product([op.name], [((2, 3, 4),)], settings, [0])


def _own(op):
    for example in op.examples:
        shapes = tuple(example.get("shapes") or [(2, 3)] * len(op.operands))
        settings = {k: v for k, v in example.items() if k != "shapes"}
        if op.name not in WHOLE or not settings:
            yield from ((op.name, shapes, settings, seed) for seed in range(3))


def _id(case):
    name, shapes, settings, seed = case
    return f"{name}-{shapes}-{settings}-{seed}".replace(" ", "")


CASES = list(_cases())


def _close(got, expected, what):
    got, expected = np.asarray(got), expected.detach().numpy(force=True)
    assert got.shape == expected.shape, what
    if got.dtype.kind != "f":
        assert np.array_equal(got, expected), what
        return
    size = np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
    np.testing.assert_allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE * size, err_msg=what)


def _weights(shape, k=0):
    return np.cos((k + 1.0) * np.arange(int(np.prod(shape))) + k + 0.5).reshape(shape)


def _torch_derivatives(total, leaves):
    """Slopes of a number, and the slopes of the weighted sum of their squares."""
    slopes = torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    slopes = [torch.zeros_like(x) if s is None else s for s, x in zip(slopes, leaves, strict=True)]
    second = sum(
        (s * s * torch.from_numpy(_weights(s.shape, k))).sum() for k, s in enumerate(slopes)
    )
    if not getattr(second, "requires_grad", False):
        return slopes, [torch.zeros_like(x) for x in leaves]
    seconds = torch.autograd.grad(second, leaves, allow_unused=True)
    return slopes, [
        torch.zeros_like(x) if s is None else s for s, x in zip(seconds, leaves, strict=True)
    ]


def _our_derivatives(total, leaves):
    slopes = pc.grad(total, leaves)
    parts = [pc.sum(s * s * _weights(s.shape, k)) for k, s in enumerate(slopes)]
    second = sum(parts, start=pc.value(0.0, "zero"))
    return slopes, pc.grad(second, leaves)


def _compare(ours, theirs, arrays):
    """Compare two functions of arrays, and both of their derivatives."""
    nodes = [pc.value(a, f"x{k}") for k, a in enumerate(arrays)]
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    got, expected = ours(*nodes), theirs(*tensors)
    if isinstance(got, (list, tuple)):
        got = pc.concatenate([pc.ravel(g) for g in got])
        expected = torch.cat([e.reshape(-1) for e in expected])
    assert isinstance(got, Node)
    _close(got.value, expected, "value")
    moving = [n for n in nodes if n.dtype.kind == "f"]
    places = [t for t in tensors if t.requires_grad]
    if not moving or got.dtype.kind != "f" or not expected.requires_grad:
        return
    weights = _weights(got.shape)
    ones = _our_derivatives(pc.sum(got * weights), moving)
    others = _torch_derivatives((expected * torch.from_numpy(weights)).sum(), places)
    for k, (slopes, references) in enumerate(zip(ones, others, strict=True)):
        for slope, reference in zip(slopes, references, strict=True):
            assert slope.dtype == np.float64
            _close(slope.value, reference, ("slope", "slope of the slope")[k])


@pytest.mark.parametrize("case", CASES, ids=map(_id, CASES))
def test_op_is_pytorchs(case):
    name, shapes, settings, seed = case
    op = OPS[name]
    arrays = _sample(name, shapes, "float64", seed)
    if name in FLAT and name in ("equal", "not_equal"):
        arrays[1] = np.where(arrays[1] > 0, arrays[1], 0.5)
    attrs = dict(_attrs(op, {k: v for k, v in settings.items() if k != "axis"}))
    if "axis" in settings:
        attrs["axis"] = normal_axis(settings["axis"], len(shapes[0]))

    def theirs(*xs):
        names = dict(attrs)
        if name in FLAT:
            xs = [x.detach() for x in xs]
        if "keepdims" in names and names["axis"] is None and name not in WHOLE:
            names["axis"] = tuple(range(xs[0].ndim))
        if name in REFERENCES:
            return REFERENCES[name](*xs, **names)
        scope = {"torch": torch} | dict(zip(op.operands, xs, strict=False)) | names
        if op.operands[-1].startswith("*"):
            scope[op.operands[-1][1:]] = xs[len(op.operands) - 1 :]
        return eval(op.torch, scope)

    _compare(lambda *xs: build(op, xs, tuple(attrs.items())), theirs, arrays)


# -- public functions, in both tongues -----------------------------------------------------------

P, A = "positive", "any"
PAIRS = [
    ("pc.var(x, ddof=1)", "torch.var(x)"),
    ("pc.var(x, axis=1)", "torch.var(x, 1, correction=0)"),
    ("pc.var(x, axis=(0, 2), ddof=1, keepdims=True)", "torch.var(x, (0, 2), keepdim=True)"),
    ("pc.std(x, axis=-1, ddof=1)", "torch.std(x, -1)"),
    ("pc.std(x)", "torch.std(x, correction=0)"),
    ("pc.ptp(x, axis=1)", "torch.amax(x, 1) - torch.amin(x, 1)"),
    ("pc.prod(x, axis=1)", "torch.prod(x, 1)"),
    ("pc.prod(x, axis=-1, keepdims=True)", "torch.prod(x, -1, True)"),
    ("pc.prod(x)", "torch.prod(x)"),
    ("pc.cumsum(x, axis=1)", "torch.cumsum(x, 1)"),
    ("pc.cumprod(x, axis=1)", "torch.cumprod(x, 1)"),
    ("pc.cumprod(x, axis=-1)", "torch.cumprod(x, -1)"),
    ("pc.cumsum(x)", "torch.cumsum(x.reshape(-1), 0)"),
    ("np.maximum.accumulate(x, axis=1)", "torch.cummax(x, 1)[0]"),
    ("np.logaddexp.accumulate(x, axis=2)", "torch.logcumsumexp(x, 2)"),
    ("pc.sort(x, axis=1)", "torch.sort(x, 1)[0]"),
    ("pc.median(x[:, :, :3], axis=2)", "torch.median(x[:, :, :3], 2)[0]"),
    ("pc.diff(x, axis=1)", "torch.diff(x, dim=1)"),
    ("pc.diff(x, n=2)", "torch.diff(x, n=2)"),
    ("pc.flip(x, (0, 2))", "torch.flip(x, (0, 2))"),
    ("pc.roll(x, 2, axis=1)", "torch.roll(x, 2, 1)"),
    ("pc.roll(x, (1, -1), axis=(0, 2))", "torch.roll(x, (1, -1), (0, 2))"),
    ("pc.roll(x, 3)", "torch.roll(x, 3)"),
    ("pc.rot90(x, 1, (1, 2))", "torch.rot90(x, 1, (1, 2))"),
    ("pc.rot90(x, -1)", "torch.rot90(x, -1)"),
    ("pc.tile(x, (2, 1, 2))", "torch.tile(x, (2, 1, 2))"),
    ("pc.repeat(x, 2, 1)", "torch.repeat_interleave(x, 2, 1)"),
    ("pc.tril(x)", "torch.tril(x)"),
    ("pc.triu(x, 1)", "torch.triu(x, 1)"),
    ("pc.diagonal(x, 1, 1, 2)", "torch.diagonal(x, 1, 1, 2)"),
    ("pc.trace(x[0])", "torch.trace(x[0])"),
    ("pc.diag(x[0, 0])", "torch.diag(x[0, 0])"),
    ("pc.diag(x[0], -1)", "torch.diag(x[0], -1)"),
    ("pc.swapaxes(x, 0, -1)", "torch.swapaxes(x, 0, -1)"),
    ("pc.moveaxis(x, (0, 1), (-1, 0))", "torch.movedim(x, (0, 1), (-1, 0))"),
    ("pc.squeeze(x[:, :1])", "x[:, :1].squeeze()"),
    ("pc.expand_dims(x, 1)", "x.unsqueeze(1)"),
    ("pc.broadcast_to(x[:, :1], (2, 3, 4))", "x[:, :1].broadcast_to((2, 3, 4))"),
    ("pc.reshape(x, (4, -1))", "x.reshape(4, -1)"),
    ("pc.ravel(x)", "torch.ravel(x)"),
    ("pc.pad(x, ((0, 0), (1, 2), (0, 1)))", "F.pad(x, (0, 1, 1, 2))"),
    ("pc.pad(x, ((0, 0), (0, 0), (2, 2)), mode='reflect')", "F.pad(x, (2, 2), mode='reflect')"),
    ("pc.pad(x, ((0, 0), (0, 0), (2, 1)), mode='edge')", "F.pad(x, (2, 1), mode='replicate')"),
    ("pc.pad(x, ((0, 0), (0, 0), (2, 1)), mode='wrap')", "F.pad(x, (2, 1), mode='circular')"),
    ("pc.concatenate([x, x * x], axis=1)", "torch.cat([x, x * x], 1)"),
    ("pc.stack([x, y], axis=-1)", "torch.stack([x, y], -1)"),
    ("pc.split(x, 2, axis=2)", "torch.split(x, 2, 2)"),
    ("pc.array_split(x, 3, axis=2)", "torch.tensor_split(x, 3, 2)"),
    ("pc.unstack(x, 1)", "torch.unbind(x, 1)"),
    ("pc.vstack([x, y])", "torch.vstack([x, y])"),
    ("pc.hstack([x, y])", "torch.hstack([x, y])"),
    ("pc.dstack([x, y])", "torch.dstack([x, y])"),
    ("x[1, ..., ::2]", "x[1, ..., ::2]"),
    ("x[:, [0, 0, 2]]", "x[:, [0, 0, 2]]"),
    ("x[[0, 1], :, [1, 1]]", "x[[0, 1], :, [1, 1]]"),
    ("x[x > 0.5]", "x[x > 0.5]"),
    ("pc.take(x, np.array([[0, 1], [1, 1]]), axis=1)", "x[:, [[0, 1], [1, 1]]]"),
    ("pc.tensordot(x, y, axes=([1, 2], [1, 2]))", "torch.tensordot(x, y, ([1, 2], [1, 2]))"),
    ("pc.inner(x, y)", "torch.inner(x, y)"),
    ("pc.outer(x[0, 0], y[0, 1])", "torch.outer(x[0, 0], y[0, 1])"),
    ("pc.kron(x[0], y[1])", "torch.kron(x[0], y[1])"),
    ("pc.dot(x[0, 0], y[0, 0])", "torch.dot(x[0, 0], y[0, 0])"),
    ("pc.vdot(x, y)", "torch.vdot(x.reshape(-1), y.reshape(-1))"),
    ("pc.vecdot(x, y)", "torch.linalg.vecdot(x, y)"),
    ("pc.einsum('bij,bkj->bik', x, y)", "torch.einsum('bij,bkj->bik', x, y)"),
    ("pc.einsum('...ij,...ij', x, y)", "torch.einsum('...ij,...ij->...', x, y)"),
    ("pc.matmul(x, pc.matrix_transpose(y))", "x @ y.mT"),
    ("pc.norm(x)", "torch.linalg.norm(x)"),
    ("pc.norm(x, axis=1)", "torch.linalg.vector_norm(x, dim=1)"),
    ("pc.norm(x, 3, axis=2)", "torch.linalg.vector_norm(x, 3, dim=2)"),
    ("pc.norm(x, np.inf, axis=-1)", "torch.linalg.vector_norm(x, torch.inf, dim=-1)"),
    ("pc.trapezoid(x, dx=0.5)", "torch.trapezoid(x, dx=0.5)"),
    ("pc.clip(x, -1, 1)", "torch.clamp(x, -1, 1)"),
    ("pc.clip(x, y - 1, y)", "torch.clamp(x, y - 1, y)"),
    ("pc.reciprocal(p)", "torch.reciprocal(p)"),
    ("pc.power(p, y)", "torch.pow(p, y)"),
    ("pc.power(x, 3)", "torch.pow(x, 3)"),
    ("pc.power(p, -0.5)", "torch.pow(p, -0.5)"),
    ("2.0 ** x", "torch.pow(2.0, x)"),
    ("x % p", "torch.remainder(x, p)"),
    ("pc.fmax(x, y)", "torch.fmax(x, y)"),
    ("pc.fmin(x, y)", "torch.fmin(x, y)"),
    ("pc.deg2rad(x)", "torch.deg2rad(x)"),
    ("pc.rad2deg(x)", "torch.rad2deg(x)"),
    ("pc.nan_to_num(x)", "torch.nan_to_num(x)"),
    ("pc.nansum(x, axis=1)", "torch.nansum(x, 1)"),
    ("pc.nanmean(x, axis=1)", "torch.nanmean(x, 1)"),
    ("pc.selu(x)", "F.selu(x)"),
    ("pc.elu(x, alpha=0.5)", "F.elu(x, 0.5)"),
    ("pc.leaky_relu(x, alpha=0.2)", "F.leaky_relu(x, 0.2)"),
    ("pc.swish(x)", "F.silu(x)"),
    ("pc.gelu(3 * x)", "F.gelu(3 * x)"),
    ("pc.softmax(x, axis=1)", "torch.softmax(x, 1)"),
    ("pc.log_softmax(5 * x, axis=1)", "torch.log_softmax(5 * x, 1)"),
    ("pc.logsumexp(9 * x, axis=(1, 2))", "torch.logsumexp(9 * x, (1, 2))"),
    ("pc.where(x > y, x, y * y)", "torch.where(x > y, x, y * y)"),
    ("pc.average(x, 1, weights=p)", "(x * p).sum(1) / p.sum(1)"),
    (
        "pc.linspace(x[0, 0, 0], 3.0, 5)",
        "x[0, 0, 0] + (3.0 - x[0, 0, 0]) * torch.linspace(0, 1, 5, dtype=torch.float64)",
    ),
    ("pc.take_along_axis(x, np.argsort(x.value, 1), 1)", "torch.gather(x, 1, torch.argsort(x, 1))"),
    ("pc.full_like(x, 2.0) * x", "torch.full_like(x, 2.0) * x"),
    ("np.exp(-(x**2) / 2) @ y.mT", "torch.exp(-(x**2) / 2) @ y.mT"),
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ours, theirs", PAIRS)
def test_function_is_pytorchs(ours, theirs, seed):
    rng = np.random.default_rng(seed)
    arrays = {
        "x": rng.uniform(-2, 2, (2, 3, 4)),
        "y": rng.uniform(-2, 2, (2, 3, 4)),
        "p": rng.uniform(0.3, 3, (2, 3, 4)),
    }
    scope = {"pc": pc, "np": np, "torch": torch, "F": F}
    _compare(
        lambda *xs: eval(ours, scope | dict(zip(arrays, xs, strict=True))),
        lambda *xs: eval(theirs, scope | dict(zip(arrays, xs, strict=True))),
        list(arrays.values()),
    )


# -- losses --------------------------------------------------------------------------------------

LOSSES = {
    "mse": (lambda p, y, r: F.mse_loss(p, y, reduction=r), "real"),
    "half_mse": (lambda p, y, r: 0.5 * F.mse_loss(p, y, reduction=r), "real"),
    "mae": (lambda p, y, r: F.l1_loss(p, y, reduction=r), "real"),
    "huber": (lambda p, y, r: F.huber_loss(p, y, reduction=r), "real"),
    "bce": (lambda p, y, r: _reduced(_cross_entropy(p, y), r), "share"),
    "bce_logits": (lambda p, y, r: F.binary_cross_entropy_with_logits(p, y, reduction=r), "score"),
    "poisson": (
        lambda p, y, r: F.poisson_nll_loss(p, y, log_input=False, full=False, eps=0.0, reduction=r),
        "rate",
    ),
    "hinge": (lambda p, y, r: _reduced(torch.clamp(1 - p * y, min=0), r), "sign"),
}
SAMPLES = {
    "real": lambda g, s: (g.uniform(-3, 3, s), g.uniform(-3, 3, s)),
    "share": lambda g, s: (g.uniform(0.05, 0.95, s), g.uniform(0, 1, s)),
    "score": lambda g, s: (g.uniform(-9, 9, s), g.uniform(0, 1, s)),
    "rate": lambda g, s: (g.uniform(0.2, 4, s), g.uniform(0, 5, s)),
    "sign": lambda g, s: (g.uniform(-3, 3, s), np.sign(g.uniform(-1, 1, s))),
}


def _reduced(losses, reduction):
    return {"none": lambda: losses, "sum": losses.sum, "mean": losses.mean}[reduction]()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(), (7,), (5, 1), (4, 3), (2, 3, 2)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_pytorchs(name, reduction, shape, seed):
    theirs, kind = LOSSES[name]
    arrays = SAMPLES[kind](np.random.default_rng(seed), shape)
    target = torch.tensor(arrays[1])
    ours = getattr(pc, name)
    _compare(
        lambda p: ours(p, arrays[1], reduction=reduction),
        lambda p: theirs(p, target, reduction),
        [np.asarray(arrays[0])],
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("labels", ["integers", "one-hot", "shares"])
@pytest.mark.parametrize("classes", [2, 5])
def test_cross_entropy_is_pytorchs(classes, labels, reduction, seed):
    rng = np.random.default_rng(seed)
    z = rng.uniform(-8, 8, (6, classes))
    y = rng.integers(0, classes, 6)
    rows = np.eye(classes)[y] if labels != "shares" else rng.dirichlet(np.ones(classes), 6)
    target = y if labels == "integers" else rows
    reference = torch.tensor(target)
    _compare(
        lambda z: pc.cce_logits(z, target, reduction=reduction),
        lambda z: F.cross_entropy(z, reference, reduction=reduction),
        [z],
    )
    shares = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    _compare(
        lambda p: pc.cce(p, target, reduction=reduction),
        lambda p: _reduced(-(torch.tensor(rows) * torch.log(p)).sum(-1), reduction),
        [shares],
    )
