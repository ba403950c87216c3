"""NumPy's functions, called on nodes: the value, shape and dtype are NumPy's, the slope is right.

Every case is a formula as a reader would type it.  NumPy itself is the oracle: the formula is run
on arrays, and its slope is compared with differences of those values.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import pellucid as pc
from pellucid import graph
from pellucid.graph import Node

RNG = np.random.default_rng(0)


def _uniform(low, high, *shape):
    return RNG.uniform(low, high, shape)


ARRAYS = {
    "x": _uniform(-2, 2, 2, 3),
    "y": _uniform(-2, 2, 2, 3),
    "p": _uniform(0.3, 2, 2, 3),  # positive
    "u": _uniform(-0.9, 0.9, 2, 3),
    "big": _uniform(1.2, 3, 2, 3),
    "row": _uniform(0.3, 2, 1, 3),
    "col": _uniform(0.3, 2, 2, 1),
    "v": _uniform(-2, 2, 3),
    "w": _uniform(-2, 2, 3),
    "one": _uniform(-2, 2, 1),
    "s": _uniform(0.5, 2),
    "m": _uniform(-2, 2, 3, 3),
    "t": _uniform(-2, 2, 2, 3, 4),
    "t1": _uniform(-2, 2, 2, 1, 4),
    "q": _uniform(-2, 2, 2, 4, 3),
    "e": np.zeros((0, 3)),
}
FIXED = {
    "k": np.array([[1, 2, 3], [0, 1, 2]]),
    "i": np.array([2, 0, 0, 1]),
    "ij": np.array([[0, 2], [1, -1]]),
    "b": np.array([[True, False, True], [False, False, True]]),
    "c": np.array([1.5, -0.5, 2.0]),
    "half": np.float32(0.5),
}

UNARY = {
    "x": "negative positive absolute fabs abs square exp expm1 exp2 sin cos tanh sinh cosh arctan "
    "arcsinh sign sinc floor ceil rint trunc atan asinh isnan isinf isfinite logical_not deg2rad "
    "rad2deg degrees radians",
    "p": "sqrt log log2 log10 log1p reciprocal",
    "u": "tan arcsin arccos arctanh asin acos atanh",
    "big": "arccosh acosh",
}
BINARY = (
    "add subtract multiply divide true_divide maximum minimum hypot arctan2 logaddexp "
    "atan2 fmax fmin floor_divide mod remainder less less_equal greater greater_equal equal "
    "not_equal logical_and logical_or logical_xor float_power"
)
FOLDS = "sum mean max min prod var std ptp amax amin all any nansum nanmean median"
AXES = ("", ", axis=0", ", axis=-1", ", axis=1, keepdims=True", ", axis=None", ", keepdims=True")
TUPLES = (
    ", axis=(0, 2)",
    ", axis=(-1, 0), keepdims=True",
    ", axis=(0, 1, 2)",
    ", axis=(1,)",
    ", 1",
    ", axis=()",
)

OTHERS = """
np.power(p, 3); np.power(p, 2); np.power(x, 2); np.power(x, 3.0); np.power(2.0, x);
np.power(p, y); np.power(p, s); np.power(x, 0); np.power(p, -1); np.power(p, 0.5); np.pow(p, y);
p ** -2; p ** 0.5; 2 ** x; p ** y; p**s; np.clip(x, -1, 1); np.clip(x, -1.0, None);
np.clip(x, None, 0.5); np.clip(x, row - 1, 1); np.clip(x, a_min=-1, a_max=1);
np.clip(x, min=-1, max=1); x.clip(-1, 1); x.clip(min=0.1); np.clip(v, 0, col); np.where(b, x, y);
np.where(x > 0, x, 0); np.where(x > 0, x, row); np.where(b, 1.0, x); np.where(b, s, v);
np.where(col > 1, x, y); np.where(x > 0, 1, 0); np.where(b, x, np.float32(2)); np.where(k, x, y);
np.var(x, ddof=1); np.std(x, axis=0, ddof=1); np.var(t, axis=(0, 2), ddof=1, keepdims=True);
np.std(x, ddof=1, axis=1); np.var(x, correction=1); np.std(t, (0, 1)); x.std(axis=0, ddof=1);
x.var(ddof=1); x.mean(0); x.mean(axis=(0, 1)); x.sum(axis=1, keepdims=True); x.max(0); x.min();
x.prod(1); x.sum(-1); x.sum(dtype=None); np.sum(x, 0); np.mean(x, -1); np.max(x, 0); np.sum(a=x);
np.sum(x, where=b); np.sum(x, initial=2.0); np.max(x, initial=0.0);
np.max(x, axis=1, initial=0.5, where=b); np.prod(x, where=b); np.prod(x, initial=2.0);
np.all(x > 0, axis=1); np.any(x > 0, axis=0); np.any(x > 0); np.all(x);
np.sum(x, dtype=np.float32); np.mean(x, dtype=np.float32); np.sum(t, axis=-2); np.sum(x > 0);
np.mean(x > 0); np.sum(x > 0, axis=1); np.average(x); np.average(x, axis=0);
np.average(x, weights=p); np.average(x, axis=1, weights=v**2); np.average(x, 0, p);
np.average(t, axis=(0, 1), weights=p); np.average(x, axis=1, weights=p, keepdims=True);
np.cumsum(x); np.cumsum(x, axis=0); np.cumsum(x, axis=-1); x.cumsum(1); np.cumsum(v);
np.cumsum(t, 1); np.cumsum(s); np.cumulative_sum(v); np.cumulative_sum(x, axis=1);
np.cumulative_sum(v, include_initial=True); np.cumprod(x); np.cumprod(x, axis=0);
np.cumprod(x, -1); x.cumprod(axis=1); np.cumprod(t, axis=-2); np.cumulative_prod(v);
np.cumulative_prod(x, axis=0); np.cumprod(e); np.cumsum(e, axis=0); np.sort(x);
np.sort(x, axis=0); np.sort(x, axis=None); np.sort(v); np.sort(t, 1); np.sort(v, kind="stable");
np.argsort(x); np.argsort(x, axis=0); np.argsort(x, axis=None); np.argsort(v, kind="stable");
x.argsort(axis=0); x.argmax(); x.argmin(axis=0); np.argmax(x); np.argmax(x, axis=0);
np.argmax(x, axis=-1); np.argmin(x, 1); np.argmax(x, axis=1, keepdims=True);
np.argmin(x, keepdims=True); np.argmax(t, axis=-2); np.diff(x); np.diff(x, axis=0);
np.diff(x, n=2); np.diff(v, n=2, axis=-1); np.diff(v, prepend=0); np.diff(x, append=col);
np.diff(v, n=0); np.median(x); np.median(x, axis=0); np.median(x, axis=1);
np.median(x, axis=1, keepdims=True); np.median(v); np.median(t, axis=-2);
np.median(x, keepdims=True); np.median(t, axis=(0, 1)); np.dot(x, m); np.dot(v, w); np.dot(x, v);
np.dot(v, m); np.dot(s, x); np.dot(x, s); np.dot(t, q); np.dot(t, np.ones(4));
v.dot(w); x.dot(m); np.dot(t, np.ones((4, 2))); np.inner(x, y); np.inner(v, w); np.inner(x, v);
np.inner(t, t); np.inner(s, x); np.inner(v, m); np.outer(v, w); np.outer(x, v); np.outer(s, v);
np.vdot(x, y); np.vdot(v, w); np.vecdot(x, y); np.vecdot(x, v); np.matmul(x, m); np.matmul(v, w);
np.matmul(t, q); np.matmul(q, x.T[:, :2]); np.matmul(x, v); np.matmul(v, m);
np.matmul(t1, q[:, :, :1]); x @ m; x @ v; v @ w; v @ m; t @ q; x @ np.ones((3, 2));
np.ones((4, 2)) @ x; np.tensordot(x, m, 1); np.tensordot(x, y, 2); np.tensordot(x, y);
np.tensordot(v, w, 0); np.tensordot(t, q, axes=([1, 2], [2, 1])); np.tensordot(t, q, axes=(0, 0));
np.tensordot(t, x, axes=([1, 0], [1, 0])); np.tensordot(x, y, axes=([0], [-2])); np.kron(x, m);
np.kron(v, w); np.kron(x, v); np.kron(s, x); np.kron(t, x); np.kron(v, x); np.linalg.norm(v);
np.linalg.norm(x); np.linalg.norm(x, axis=1); np.linalg.norm(x, axis=0, keepdims=True);
np.linalg.norm(v, 1); np.linalg.norm(v, np.inf); np.linalg.norm(x, ord="fro");
np.linalg.norm(v, 3); np.linalg.matmul(x, m); np.linalg.outer(v, w); np.trace(m); np.trace(x);
np.trace(m, offset=1); np.trace(m, -1); np.trace(t, axis1=0, axis2=2); np.trace(t); m.trace();
np.trace(x, 5); np.diag(v); np.diag(m); np.diag(m, 1); np.diag(v, 1); np.diag(v, -2);
np.diag(x, k=-1); np.diag(x, 2); np.diag(one); np.diag(m, 7); np.diagonal(m);
np.diagonal(m, offset=1); np.diagonal(m, -1); np.diagonal(t); np.diagonal(t, 1, 1, 2);
np.diagonal(t, axis1=-1, axis2=0); m.diagonal(); np.diagonal(x, 7); np.diagonal(x, -7);
np.diagflat(v); np.diagflat(x, 1); np.tril(m); np.triu(m); np.tril(m, 1); np.triu(m, -1);
np.tril(x, k=-1); np.triu(t); np.triu(t, 1); np.tril(v); np.triu(v); np.tril(m, 9); np.triu(m, 9);
np.roll(x, 1); np.roll(x, 1, axis=0); np.roll(x, -2, axis=1); np.roll(x, (1, 2), axis=(0, 1));
np.roll(v, 5); np.roll(x, 1, (0, 1)); np.roll(v, 0); np.roll(x, 7); np.roll(t, -1, -1);
np.roll(e, 1, 0); np.repeat(x, 2); np.repeat(x, 2, axis=0); np.repeat(x, [1, 2], axis=0);
np.repeat(v, [0, 1, 2]); np.repeat(s, 3); np.repeat(x, 2, -1); np.repeat(x, np.array([2]), 1);
x.repeat(2); x.repeat(2, axis=1); np.repeat(x, 0, 0); np.tile(v, 2); np.tile(x, (2, 1));
np.tile(x, 2); np.tile(v, (2, 1, 2)); np.tile(t, (1, 2)); np.tile(s, 3); np.tile(v, 0);
np.tile(v, ()); np.transpose(x); np.transpose(t, (1, 2, 0)); np.transpose(t, (-1, 0, 1));
np.transpose(v); x.T; t.T; v.T; x.mT; t.mT; x.transpose(); t.transpose(1, 0, 2);
t.transpose((2, 0, 1)); np.transpose(t, axes=[0, 2, 1]); np.permute_dims(t, (0, 2, 1));
np.matrix_transpose(t); np.transpose(s); np.swapaxes(x, 0, 1); np.swapaxes(t, 0, -1);
t.swapaxes(1, 2); np.moveaxis(t, 0, -1); np.moveaxis(t, [0, 1], [-1, 0]); np.moveaxis(t, -1, 0);
np.moveaxis(t, (0, 2), (2, 0)); np.reshape(x, (3, 2)); np.reshape(x, -1); np.reshape(x, (-1, 2));
np.reshape(x, 6); x.reshape(3, 2); x.reshape((3, 2)); x.reshape(-1); x.reshape(1, -1, 2);
np.reshape(s, (1, 1)); np.reshape(one, ()); np.reshape(e, (0,)); np.reshape(e, (3, 0));
np.reshape(x, (3, 2), order="C"); np.reshape(x, (3, 2), order="F"); np.reshape(e, (3, -1));
x.reshape([3, 2]); one.reshape(()); np.reshape(x, shape=(3, 2)); np.ravel(x); x.ravel();
x.flatten(); np.ravel(s); np.ravel(x, order="F"); np.ravel(x, "C"); x.flatten("F");
np.squeeze(t1); np.squeeze(t1, axis=1); np.squeeze(col, -1); np.squeeze(one); t1.squeeze();
t1.squeeze(1); np.squeeze(t1, (1,)); np.expand_dims(x, 0); np.expand_dims(x, -1);
np.expand_dims(x, (0, 2)); np.expand_dims(x, (-1, 0)); np.expand_dims(s, 0);
np.expand_dims(v, [0, 1]); np.broadcast_to(v, (2, 3)); np.broadcast_to(s, (2, 2));
np.broadcast_to(col, (4, 2, 3)); np.broadcast_to(one, 3); np.broadcast_to(one, (0,));
np.broadcast_arrays(x, v); np.broadcast_arrays(col, row); np.concatenate([x, y]);
np.concatenate((x, y), axis=1); np.concatenate([x, m], 0); np.concatenate([x, y], axis=None);
np.concatenate([x, np.ones((2, 1))], axis=-1); np.concatenate([x, k]);
np.concatenate([v, [1.0, 2.0]]); np.concatenate([x]); np.concatenate([e, x]); np.concat([x, y]);
np.concatenate([x, y], axis=-1); np.concatenate([x, y.astype(np.float32)]); np.stack([x, y]);
np.stack([x, y], axis=-1); np.stack([x, y], 1); np.stack([s, s]); np.stack([v, c]);
np.stack((x, y), axis=-2); np.vstack([v, w]); np.vstack([x, m]); np.hstack([v, w]);
np.hstack([x, y]); np.dstack([x, y]); np.dstack([v, w]); np.column_stack([v, w]);
np.column_stack([v, m]); np.hstack([s, v]); np.vstack([s, s]); np.append(x, y); np.append(v, 1.0);
np.append(x, y, axis=0); np.vstack([v, x]); np.split(v, 3); np.split(x, [1], axis=0);
np.split(t, [1, 2], axis=-1); np.split(t, 2, axis=2); np.array_split(v, 2);
np.array_split(t, 3, axis=-1); np.array_split(v, [1, 5]); np.array_split(v, 4); np.hsplit(x, 3);
np.hsplit(v, 3); np.vsplit(x, 2); np.dsplit(t, 2); np.split(x, [-1], axis=1);
np.array_split(v, [2, 1]); np.unstack(x); np.unstack(x, axis=1); np.atleast_1d(s);
np.atleast_1d(v); np.atleast_2d(s); np.atleast_2d(v); np.atleast_2d(t); np.atleast_3d(s);
np.atleast_3d(v); np.atleast_3d(x); np.atleast_3d(t); np.atleast_1d(s, v); np.atleast_2d(v, x);
np.flip(x); np.flip(x, 0); np.flip(x, axis=-1); np.flip(x, (0, 1)); np.flipud(x); np.fliplr(x);
np.rot90(x); np.rot90(x, 2); np.rot90(x, -1); np.rot90(t, 1, (1, 2)); np.rot90(x, k=3);
np.flip(s); np.rot90(t, axes=(2, 0)); np.pad(v, 1); np.pad(x, 1); np.pad(x, (1, 2));
np.pad(x, ((1, 0), (0, 2))); np.pad(x, 1, constant_values=3.0); np.pad(v, 1, mode="edge");
np.pad(v, 2, mode="reflect"); np.pad(v, 2, "symmetric"); np.pad(v, 2, mode="wrap");
np.pad(x, ((1, 1), (2, 2)), mode="edge"); np.pad(x, ((0, 0), (1, 1))); np.pad(v, (0, 0));
np.pad(v, (1, 2), constant_values=(4.0, 5.0));
np.pad(x, 1, constant_values=((1.0, 2.0), (3.0, 4.0))); np.pad(v, 5, mode="reflect");
np.pad(x, {0: 1, -1: (0, 2)}); np.take(x, [0, 2]); np.take(x, i, axis=1); np.take(x, 1, axis=0);
np.take(v, ij); np.take(t, [0, -1], axis=-1); x.take([0, 1]); x.take([0], axis=1); np.take(v, 1);
np.take(x, ij, axis=1); np.take(v, [0, 5], mode="clip"); np.take(v, [0, 5], mode="wrap");
np.take_along_axis(x, k[:1] % 2, axis=0); np.take_along_axis(x, k[:, :1] % 3, 1);
np.take_along_axis(row, k % 3, 1); np.take_along_axis(v, i, 0); np.take_along_axis(x, i, None);
np.full_like(x, 3); np.full_like(x, 2.5, dtype=np.float32); np.zeros_like(x); np.ones_like(x);
np.ones_like(x, dtype=int); np.zeros_like(t); np.full_like(x, s); np.full_like(x, v);
np.nan_to_num(x); np.nan_to_num(x, nan=1.0); np.nan_to_num(s);
np.nan_to_num(x, posinf=3.0, neginf=-3.0); np.isclose(x, y); np.isclose(x, x);
np.isclose(x, y, rtol=1, atol=2); np.count_nonzero(x); np.count_nonzero(x > 0, axis=1);
np.count_nonzero(x, axis=0, keepdims=True); np.linspace(s, 3, 5); np.linspace(0, s, 4);
np.linspace(v, w, 3); np.linspace(s, 3); np.linspace(v, w, 3, axis=-1);
np.linspace(s, 3, 5, endpoint=False); np.linspace(s, 3, 1); np.round(x); np.round(x, 2);
np.around(x, 1); x.round(1); np.fmax(x, y); np.fmin(x, row); np.float_power(p, y);
np.float_power(p, 2); np.isfinite(x); np.conj(x); np.conjugate(x); np.real(x); np.copy(x);
np.nan_to_num(x, copy=False); np.trapezoid(v); np.trapezoid(x, axis=0); np.trapezoid(x, dx=0.5);
np.trapezoid(x, c); np.maximum(x, 0); np.minimum(x, 0.5); np.square(s); np.sign(p);
np.array_equal(x, x); np.allclose(x, x); np.shape(x); np.ndim(x); np.size(x); np.size(x, 0);
np.size(x, axis=1); np.result_type(x, np.float32); np.add.reduce(x); np.add.reduce(x, axis=1);
np.add.reduce(x, axis=None); np.add.reduce(t, axis=(0, 1)); np.add.reduce(x, keepdims=True);
np.multiply.reduce(x); np.multiply.reduce(x, axis=-1); np.maximum.reduce(x);
np.minimum.reduce(x, axis=1); np.logaddexp.reduce(x); np.logaddexp.reduce(x, axis=1);
np.logical_and.reduce(x > 0); np.logical_or.reduce(x > 0, axis=1); np.add.reduce(x, initial=1.0);
np.add.accumulate(x); np.add.accumulate(x, axis=1); np.multiply.accumulate(x);
np.multiply.accumulate(x, 1); np.maximum.accumulate(v); np.minimum.accumulate(x, axis=1);
np.add.outer(v, w); np.multiply.outer(x, v); np.subtract.outer(v, x); np.divide.outer(x, p);
np.maximum.outer(v, w); np.power.outer(p, v); np.add.outer(v, [1.0, 2.0]);
np.multiply.outer(2.0, v); x + 1; 1 + x; x - 1; 1 - x; x * 2; 2 * x; x / 2; 2 / p; x // 0.7;
3 // p; x % 0.7; 3 % p; -x; +x; abs(x); x + y; x - y; x * y; x / p; x // p; x % p; x + c; c + x;
c - x; c * x; c / p; x * k; k * x; k - x; k / p; x + b; b * x; x * half; half * x; half - x;
half / p; x + True; x < y; x <= 1; 1 < x; 1 >= x; x == y; x != y; x == x; x > c; c > x; ~(x > 0);
(x > 0) & (y > 0); (x > 0) | b; b & (x > 0); (x > 0) ^ (y > 0); x + row; x * col; col * row;
col + v; x + s; s * x; s * 2; v * one; x ** 2; x ** 3; x ** 1; x ** 0; p ** 1.5; 1.5 ** x;
c ** 2 * x; x + [1.0, 2.0, 3.0]; [1.0, 2.0, 3.0] * x; x @ [1.0, 2.0, 3.0]; x.astype(np.float32);
x.astype("float64"); x.astype(int); (x > 0).astype(float); x.astype(bool); x.copy();
np.multiply(x, y, dtype=np.float32); np.exp(x, dtype=np.float64); np.add(x, 1, where=True);
np.add(x, y, casting="same_kind"); np.exp(e); np.sum(e); np.sum(e, axis=0); np.sum(e, axis=1);
np.prod(e); np.prod(e, axis=0); np.mean(e, axis=1); np.max(e, axis=1); np.concatenate([e, e], 1);
e + row; e * 2; e @ m; np.cumsum(e); np.sort(e); np.sort(e, axis=0); e.T; np.var(e, axis=1);
np.std(e, axis=1); np.argsort(e); np.ptp(e, axis=1); np.where(e > 0, e, 1); np.stack([e, e]);
e[:0]; e[..., 0]; np.transpose(e); np.repeat(e, 2, 0); np.tile(e, (2, 2)); np.flip(e);
np.outer(e, v); np.diff(e); np.pad(e, 1); np.all(e); np.any(e); np.linalg.norm(e); np.dot(e, m);
np.tensordot(e, m, 1); np.vdot(e, e); np.einsum("ij,jk->ik", e, m);
np.take_along_axis(x, k[:1, :1], 1);
"""


def _cases():
    for domain, names in UNARY.items():
        yield from (f"np.{f}({domain})" for f in names.split())
    for f in BINARY.split():
        yield from (f"np.{f}({pair})" for pair in ("p, row", "col, p", "x, p", "p, s", "p, 0.7"))
    for f in FOLDS.split():
        yield from (f"np.{f}(x{axis})" for axis in AXES)
        yield from (f"np.{f}(t{axis})" for axis in TUPLES)
    yield from (case for part in OTHERS.split(";") if (case := part.strip()))


CASES = list(dict.fromkeys(_cases()))
assert len(CASES) > 900


def _used(case):
    return [name for name in ARRAYS if re.search(rf"(?<![\w.]){name}\b(?!=)", case)]


def _run(case, **arrays):
    scope = {"np": np} | FIXED | ARRAYS | arrays
    with np.errstate(all="ignore"):
        return eval(case, scope)


def _parts(result):
    return list(result) if isinstance(result, (list, tuple)) else [result]


def _same(got, expected, case):
    got, expected = _parts(got), _parts(expected)
    assert len(got) == len(expected)
    for node, array in zip(got, expected, strict=True):
        if not isinstance(node, Node):
            assert np.array_equal(node, array), case
            continue
        array = np.asarray(array)
        assert node.shape == array.shape, (node.shape, array.shape)
        assert node.dtype == array.dtype, (node.dtype, array.dtype)
        assert node.value.shape == array.shape, "its own shape rule is not kept"
        assert node.value.dtype == array.dtype, (node.value.dtype, array.dtype)
        eps = np.finfo(array.dtype).eps if array.dtype.kind == "f" else 0
        np.testing.assert_allclose(node.value, array, rtol=16 * eps, atol=16 * eps)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_value_is_numpys(case, dtype):
    arrays = {
        name: ARRAYS[name].astype(dtype)
        if np.ndim(ARRAYS[name])
        else np.asarray(ARRAYS[name], dtype)
        for name in ARRAYS
    }
    nodes = {name: pc.value(arrays[name], name) for name in _used(case)}
    assert nodes
    _same(_run(case, **(arrays | nodes)), _run(case, **arrays), case)


def _total(result):
    """A number that depends on every element of the result, each in its own way."""
    total = 0.0
    for k, part in enumerate(_parts(result)):
        if part.dtype.kind == "f":
            total = total + (part * np.cos(np.arange(part.size) + k).reshape(part.shape)).sum()
    return total


@pytest.mark.parametrize("case", CASES)
def test_slope_is_that_of_differences(case):
    names = _used(case)
    nodes = {name: pc.value(ARRAYS[name], name) for name in names}
    result = _run(case, **nodes)
    if not any(isinstance(r, Node) and r.dtype.kind == "f" for r in _parts(result)):
        return
    if "float32" in case or np.isnan(_total(_run(case))):
        return  # too coarse for differences, or no number
    slopes = dict(zip(names, pc.grad(_total(result), list(nodes.values())), strict=True))
    for name in names:
        assert slopes[name].shape == np.shape(ARRAYS[name])
        assert slopes[name].dtype == np.float64
        along = np.asarray(RNG.normal(size=np.shape(ARRAYS[name])))
        h = 1e-6
        up, down = (_total(_run(case, **{name: ARRAYS[name] + d * along})) for d in (h, -h))
        expected = (up - down) / (2 * h)
        got = float((slopes[name].value * along).sum())
        assert got == pytest.approx(expected, rel=2e-6, abs=2e-7), name


# -- the dtypes and layouts of what comes in -----------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        "x + 1",
        "x * 2.0",
        "1.5 - x",
        "x / 2",
        "x ** 2",
        "x // 2",
        "-x",
        "np.exp(x)",
        "np.sqrt(np.abs(x))",
        "np.sum(x)",
        "np.mean(x)",
        "np.prod(x)",
        "np.max(x)",
        "np.var(x)",
        "np.cumsum(x)",
        "np.abs(x)",
        "np.sign(x)",
        "np.where(x > 0, x, 0)",
        "np.where(x > 0, x, 0.5)",
        "np.maximum(x, 0)",
        "np.maximum(x, 0.5)",
        "np.square(x)",
        "x @ x.T",
        "np.median(x)",
        "np.sort(x)",
        "np.clip(x, 0, 2)",
        "np.concatenate([x, x])",
        "np.arctan2(x, 2)",
        "np.floor(x)",
        "np.round(x)",
        "np.dot(x, x.T)",
        "np.nan_to_num(x)",
        "x[1:]",
        "np.logaddexp(x, 0)",
        "np.sum(x, axis=0)",
        "np.std(x)",
        "x == 1",
        "x % 2",
        "np.diff(x)",
        "np.trace(x)",
        "np.argmax(x)",
        "np.linspace(x, 3, 4)",
        "np.sinc(x)",
        "x * np.float32(2)",
        "x + np.arange(3)",
        "np.hypot(x, x)",
        "np.tanh(x)",
        "np.full_like(x, 1)",
        "np.count_nonzero(x)",
        "np.average(x)",
        "np.ptp(x)",
        "np.linalg.norm(x)",
        "np.isclose(x, 1)",
    ],
)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "int64", "float16", "float32"])
def test_dtype_is_numpys(case, dtype):
    x = np.array([[1, 0, 1], [0, 2, 3]]).astype(dtype)
    try:
        with np.errstate(all="ignore"):
            expected = np.asarray(eval(case, {"np": np, "x": x}))
    except (TypeError, ValueError):
        pytest.skip("NumPy refuses it, too")
    got = eval(case, {"np": np, "x": pc.value(x, "x")})
    assert (got.shape, got.dtype) == (np.shape(expected), expected.dtype)
    assert got.value.dtype == expected.dtype
    eps = np.finfo(got.dtype).eps if got.dtype.kind == "f" else 0
    np.testing.assert_allclose(got.value, expected, rtol=4 * eps, atol=eps)


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda a: a[::-1, ::2],
        lambda a: a.T,
        lambda a: np.broadcast_to(a[0], a.shape),
        lambda a: a[:, :0],
        lambda a: a[:1, :1],
    ],
)
@pytest.mark.parametrize(
    "case",
    [
        "np.sum(np.exp(x) * x)",
        "np.sum(np.cumsum(x, 1) ** 2)",
        "np.sum(x.reshape(-1) ** 2)",
        "np.sum(x.T @ x)",
        "np.sum(np.sort(x, 0) * x)",
    ],
)
def test_layout_does_not_matter(case, change):
    strange = change(_uniform(-1, 1, 4, 6))
    plain = np.array(strange, order="C")
    before = strange.copy()
    function = eval(f"lambda x: {case}", {"np": np})
    value, slope = pc.value_and_grad(function)(strange)
    assert np.array_equal(value, function(plain)) or np.isclose(value, function(plain), rtol=1e-14)
    assert np.array_equal(slope, pc.grad(function)(plain))
    assert np.array_equal(strange, before)


# -- indexing ------------------------------------------------------------------------------------

INTEGERS = st.integers(-3, 2)
SLICES = st.builds(
    slice, *[st.none() | st.integers(-4, 4)] * 2, st.sampled_from([None, 1, 2, -1, -2])
)
ROWS = st.lists(st.integers(-2, 1), min_size=1, max_size=4)


@st.composite
def _indices(draw):
    """An index into an array of shape (3, 4, 2), each kind of part, at most one ellipsis."""
    kinds = st.sampled_from(["int", "slice", "rows", "mask", "square"])
    parts = draw(st.lists(kinds, max_size=3))
    built = [
        {
            "int": lambda: draw(st.integers(-2, 1)),
            "slice": lambda: draw(SLICES),
            "rows": lambda: np.array(draw(st.lists(st.integers(-2, 1), min_size=2, max_size=2))),
            "square": lambda: np.array([[0, 1], [1, -1]]),
            "mask": lambda k=k: _mask(draw, k),
        }[part]()
        for k, part in enumerate(parts)
    ]
    extra = draw(st.lists(st.sampled_from([None, Ellipsis]), max_size=2))
    if extra.count(Ellipsis) > 1:
        extra = [None]
    if Ellipsis in extra:
        built = [p for p in built if not (isinstance(p, np.ndarray) and p.dtype == bool)]
    for part in extra:
        built.insert(draw(st.integers(0, len(built))), part)
    return tuple(built)


def _mask(draw, axis):
    size = (3, 4, 2)[axis]
    on = draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    return np.isin(np.arange(size), on)


BLOCK = _uniform(-2, 2, 3, 4, 2)


@settings(max_examples=400, deadline=None)
@given(_indices())
def test_indexing_is_numpys(index):
    try:
        expected = BLOCK[index]
    except IndexError:
        reject()
    x = pc.value(BLOCK, "x")
    got = x[index]
    assert got.shape == expected.shape
    assert np.array_equal(got.value, expected)
    weights = np.cos(np.arange(expected.size)).reshape(expected.shape)
    slope = np.zeros_like(BLOCK)
    np.add.at(slope, index, weights)
    assert np.allclose(pc.grad(pc.sum(got * weights), x).value, slope, atol=1e-14)


MATRIX = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        (1, 2),
        (0, -1),
        (),
        ...,
        None,
        (..., 0),
        (None, 0),
        slice(None),
        slice(None, None, -1),
        (slice(2, 0, -1), slice(None, None, 3)),
        [0, 2],
        [[0, 1], [2, 0]],
        ([0, 1], [1, 2]),
        ([0, 1], slice(None)),
        (slice(None), [3, 3, 0]),
        ([[0], [2]], [1, 3]),
        (0, [1, 2]),
        ([0, 1], 1),
        MATRIX > 5,
        (MATRIX > 5, None),
        MATRIX[:, 0] > 3,
        (slice(None), MATRIX[0] > 1),
        (MATRIX[:, 0] > 3, 2),
        (1, MATRIX[0] > 1),
        (None, [0, 1], None),
        ([True, False, True],),
        (np.int64(1), np.int8(-1)),
        np.array(2),
        True,
        False,
        (True, 0),
        np.zeros((0,), int),
        (slice(5, 9),),
        (..., None),
        ([1, 0], None, [0, 1]),
        (slice(0, 2), [1, 1], None),
        np.zeros((3, 4), bool),
        (np.array([0, 1]), slice(None, None, 2)),
    ],
    ids=str,
)
def test_every_kind_of_index(index):
    x = pc.value(MATRIX, "x")
    expected = MATRIX[index]
    assert x[index].shape == expected.shape
    assert np.array_equal(x[index].value, expected)
    counts = np.zeros_like(MATRIX)
    np.add.at(counts, index, 1.0)
    assert np.array_equal(pc.grad(pc.sum(x[index]), x).value, counts)


@pytest.mark.parametrize(
    "index",
    [3, -4, (0, 4), (0, 0, 0), [0, 7], (MATRIX[0] > 1,), 1.5, "a", (..., ...), [0.5, 1.0]],
    ids=str,
)
def test_a_wrong_index_is_explained(index):
    with pytest.raises((pc.errors.PellucidError, IndexError, TypeError)):
        _ = pc.value(MATRIX, "x")[index].value


def test_a_node_is_an_index():
    k, x = pc.value([2, 0], "k"), pc.value(MATRIX, "x")
    assert np.array_equal(x[k].value, MATRIX[[2, 0]])
    assert np.array_equal(x[np.argmax(x, 0), np.arange(4)].value, MATRIX.max(0))
    assert np.array_equal(x[x > 5].value, MATRIX[MATRIX > 5])
    assert np.array_equal(x[pc.value(1, "k")].value, MATRIX[1])


# -- einsum --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "ij,jk->ik",
        "ij,jk",
        "ij,kj",
        "ii->i",
        "ii",
        "ii->",
        "ij->ji",
        "ba",
        "ij->",
        "i,i",
        "i,j",
        "i,j->ji",
        "bij,bjk->bik",
        "bij,bjk",
        "...ij,...jk->...ik",
        "...ij,jk",
        "i...->...",
        "...i->...",
        "ij,ij,ij->i",
        "ab,bc,cd->ad",
        "ab,bc,cd",
        "iij->j",
        "ijj->ij",
        "iii->i",
        "ij, jk -> ik",
        "ij,j->i",
        "ij->j",
        "i,ij,j->",
        "ij,ik->jk",
        "...->...",
        "ii,jj->ij",
        "...ii->...i",
        "i->",
        "ijk,jk->i",
        "a,b,c->cab",
        "ij,ij->",
        "ijk->kji",
        "ij,...j->...i",
        "i->i",
        ",ij->ij",
        "ij,kl->",
    ],
)
def test_einsum_is_numpys(text):
    sizes = dict.fromkeys("abcdijkl", 3)
    shapes = [
        tuple(sizes[c] for c in part.replace(" ", "").replace("...", "").strip())
        for part in text.partition("->")[0].split(",")
    ]
    shapes = [
        (2, *s) if "..." in p and p.strip().startswith("...") else (*s, 2) if "..." in p else s
        for s, p in zip(shapes, text.partition("->")[0].split(","), strict=True)
    ]
    arrays = [_uniform(-1, 1, *s) for s in shapes]
    expected = np.einsum(text, *arrays)
    nodes = [pc.value(a, "x") for a in arrays]
    for got in (np.einsum(text, *nodes), pc.einsum(text, *nodes)):
        assert got.shape == np.shape(expected)
        np.testing.assert_allclose(got.value, expected, rtol=1e-13, atol=1e-13)
    assert np.shape(pc.einsum(text, *arrays)) == np.shape(expected)
    slopes = pc.grad(_total(got), nodes)
    for k, slope in enumerate(slopes):  # an einsum is linear in each operand: a difference is exact
        along = [
            _uniform(-1, 1, *s) if j == k else a
            for j, (s, a) in enumerate(zip(shapes, arrays, strict=True))
        ]
        change = _total(np.asarray(np.einsum(text, *along)))
        if shapes.count(shapes[k]) >= 1:
            np.testing.assert_allclose(
                (slope.value * along[k]).sum(), change, rtol=1e-11, atol=1e-12
            )


def test_einsum_stretches_an_axis_of_one():
    x, y = pc.value(_uniform(-1, 1, 1, 3), "x"), pc.value(_uniform(-1, 1, 3, 2), "y")
    got = pc.einsum("ij,jk->ik", x, y)
    assert np.allclose(got.value, x.value @ y.value)


# -- Python's own questions ----------------------------------------------------------------------


def test_python_decides_with_data_and_says_why_it_cannot_without():
    x = pc.value(2.0, "x")
    assert (x if x > 1 else -x) is x
    assert (float(x), int(x), len(pc.value([1.0, 2.0], "v"))) == (2.0, 2, 2)
    assert [float(v) for v in pc.value([1.0, 2.0], "v")] == [1.0, 2.0]
    assert [0, 1, 2][pc.value(2, "k")] == 2
    unknown = graph.symbolic("u", ())
    for ask in (bool, float, int):
        with pytest.raises(pc.errors.TraceError, match="has no data yet"):
            ask(unknown)
    with pytest.raises(pc.errors.TraceError, match="no length"):
        len(x)
    with pytest.raises(pc.errors.TraceError, match="elements"):
        bool(pc.value([1.0, 2.0], "v") > 1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: np.asarray(x), "cut it out of the graph"),
        (lambda x: np.sum([x, x]), "cut it out of the graph"),
        (lambda x: np.exp(x, out=np.zeros(2)), "out="),
        (lambda x: np.sum(x, out=np.zeros(2)), "out="),
        (lambda x: np.linalg.svd(x), "np.linalg.svd is not known"),
        (lambda x: np.fft.fft(x), "np.fft.fft is not known"),
        (lambda x: np.spacing(x), "np.spacing is not known"),
        (lambda x: np.subtract.reduce(x), "np.subtract.reduce is not known"),
        (lambda x: np.add.at(x, 0, 1.0), "np.add.at is not known"),
        (lambda x: np.add(x, 1, where=np.array([True, False])), "where=…"),
        (lambda x: np.mean(x, where=np.array([True, False])), "where=…"),
        (lambda x: x & 1, "compare first"),
        (lambda x: x @ np.ones(3), "inner sizes"),
        (lambda x: x + np.ones(3), "broadcast"),
        (lambda x: np.sum(x, axis=2), "axis 2 does not exist"),
        (lambda x: np.reshape(x, (3, 1)), "reshape keeps"),
        (lambda x: x + "a", "not a real number"),
        (lambda x: x + 1j, "not a real number"),
        (lambda x: np.einsum("ij->j", x), "does not fit"),
    ],
)
def test_what_nodes_cannot_do_is_explained(call, message):
    with pytest.raises(pc.errors.PellucidError, match=re.escape(message)):
        call(pc.value([1.0, 2.0], "x"))


def test_a_node_never_changes():
    x = pc.value([1.0, 2.0], "x")
    with pytest.raises(AttributeError):
        x.name = "y"
    with pytest.raises(TypeError):
        x[0] = 3.0
    same = x
    x += 1
    assert x is not same
    with pytest.raises(ValueError, match="read-only"):
        same.value[0] = 3.0
    with pytest.raises(ValueError, match="read-only"):
        (same * 2).value[0] = 3.0


def test_a_public_function_of_arrays_gives_arrays():
    assert isinstance(pc.exp(1.0), np.float64)
    assert isinstance(pc.exp([1.0, 2.0]), np.ndarray)
    assert pc.exp(np.ones(2, np.float32)).dtype == np.float32
    out = pc.transpose(np.ones((2, 3)))
    out[0, 0] = 5.0  # one's own
    assert [type(p) for p in pc.split(np.arange(4.0), 2)] == [np.ndarray] * 2
    assert isinstance(pc.sum([pc.value(1.0, "a"), 2.0]), Node)
