"""Values and slopes of every activation and loss, against exact ones of 60 digits.

The table below is independent of the library: a value and a slope in mpmath for finite arguments,
and the limits of both at -inf and +inf.  Where a function has a corner the slope is a convention:
0 for relu at 0, leaky_relu and its kin from the left, 0 for abs at 0, a half for a tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

import pellucid as pc

mp: Any = pytest.importorskip("mpmath", reason="exact values need mpmath (extra: conformance)")
pytestmark = pytest.mark.conformance

mp.mp.dps = 60
mpf, E = mp.mpf, mp.exp
INF, NAN, MAX = math.inf, math.nan, 1.7976931348623157e308
ALPHA, SCALE = mpf(1.6732632423543772), mpf(1.0507009873554805)
LEAK = mpf(0.01)

SIZES = [
    0.0, 5e-324, 1e-310, 2.2250738585072014e-308, 1e-300, 1e-200, 1e-155, 1e-100, 1e-20, 1e-16,
    1e-8, 1e-5, 1e-3, 0.1, 0.25, 0.5, 0.7, 0.9, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0,
    26.0, 27.0, 30.0, 36.0, 37.0, 38.0, 40.0, 50.0, 100.0, 300.0, 355.0, 360.0, 700.0, 708.0, 709.0,
    709.7, 710.0, 720.0, 740.0, 745.0, 746.0, 750.0, 1e3, 1e4, 1e5, 1e10, 1e16, 1e100, 1e154, 1e155,
    1e200, 1e300, 1e308, MAX,
]  # fmt: skip
rng = np.random.default_rng(0)
EDGES = [s * v for v in SIZES for s in (1, -1)]
INNER = [
    *rng.uniform(-5, 5, 40).tolist(),
    *rng.uniform(-40, 40, 40).tolist(),
    *(rng.choice([-1, 1], 40) * 10 ** rng.uniform(-300, 300, 40)).tolist(),
]
POINTS = [*EDGES, *INNER]


class Exact(NamedTuple):
    """An exact function of one number, its slope, and their limits at -inf and +inf."""

    value: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    limits: tuple[Any, Any, Any, Any] = (NAN, NAN, NAN, NAN)  # values at -inf, inf; slopes there
    inside: Callable[[float], bool] = lambda x: True  # elsewhere value and slope are NaN


def ulps(got: float, exact: Any) -> float:
    """Return how many units in the last place of the exact number the float is away from it."""
    if mp.isnan(exact) or math.isnan(got):
        return 0.0 if mp.isnan(exact) and math.isnan(got) else INF
    nearest = float(exact) if abs(exact) < mpf(2) ** 1025 else math.copysign(INF, exact)
    if math.isinf(nearest) or math.isinf(got):
        close = abs(exact) > mpf(MAX) * (1 - mpf(2) ** -50)  # within 4 ulp of the largest number
        return 0.0 if got == nearest or (close and got * nearest > 0) else INF
    return float(abs(mpf(got) - exact) / mpf(math.ulp(nearest)))


# -- the functions of one number -----------------------------------------------------------------

ZERO, ONE, TWO, HALF = mpf(0), mpf(1), mpf(2), mpf(1) / 2
HUGE = mpf(10) ** 400  # written as inf


def far(limit: float, left: Any, right: Any) -> Callable[[Any], Any]:
    """Use what a function becomes for |x| > limit, where mpmath would take forever."""
    return lambda f: lambda x: f(x) if abs(x) <= limit else left(x) if x < 0 else right(x)


def const(c: Any) -> Callable[[Any], Any]:
    return lambda x: c


exp = far(1e4, const(ZERO), const(HUGE))(E)
sigmoid = far(1e4, const(ZERO), const(ONE))(lambda x: ONE / (1 + E(-x)))
softplus = far(1e4, const(ZERO), lambda x: x)(lambda x: mp.log1p(E(x)))
tanh = far(1e3, const(-ONE), const(ONE))(mp.tanh)
sech2 = far(1e4, const(ZERO), const(ZERO))(lambda x: mp.sech(x) ** 2)
bump = far(1e3, const(ZERO), const(ZERO))(lambda x: E(-x * x))
bell = far(1e3, const(ZERO), const(ZERO))(lambda x: E(-x * x / 2) / mp.sqrt(2 * mp.pi))
erfc = far(200, const(TWO), const(ZERO))(mp.erfc)
erf = far(200, const(-ONE), const(ONE))(mp.erf)
cdf = far(200, const(ZERO), const(ONE))(lambda x: mp.erfc(-x / mp.sqrt(2)) / 2)
cosh = far(1e4, const(HUGE), const(HUGE))(mp.cosh)
sinh = far(1e4, const(-HUGE), const(HUGE))(mp.sinh)


def wide(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Compute with enough digits for the sine of 1e308, and for 1 + 1e-308."""

    def g(x: Any) -> Any:
        with mp.workdps(700):
            return f(x)

    return g


def left_of_0(f: Any, right: Any) -> Callable[[Any], Any]:
    return lambda x: right(x) if x > 0 else f(x)


def power(n: int) -> tuple[Any, Any]:
    return (lambda x: x**n), (lambda x: n * x ** (n - 1))


positive = lambda x: x >= 0  # noqa: E731
unit = lambda x: abs(x) <= 1  # noqa: E731
LN2, LN10 = mp.log(2), mp.log(10)


def inv(x: Any) -> Any:
    return 1 / x if x else HUGE


def mplog(x: Any) -> Any:
    return mp.log(x) if x else -HUGE


ONE_NUMBER: dict[str, Exact] = {
    "sigmoid": Exact(sigmoid, lambda x: sigmoid(x) * sigmoid(-x), (0, 1, 0, 0)),
    "tanh": Exact(tanh, sech2, (-1, 1, 0, 0)),
    "softplus": Exact(softplus, sigmoid, (0, INF, 0, 1)),
    "log_sigmoid": Exact(lambda x: -softplus(-x), lambda x: sigmoid(-x), (-INF, 0, 1, 0)),
    "relu": Exact(lambda x: max(x, ZERO), lambda x: mpf(x > 0), (0, INF, 0, 1)),
    "leaky_relu": Exact(
        left_of_0(lambda x: LEAK * x, lambda x: x), left_of_0(const(LEAK), const(ONE)),
        (-INF, INF, LEAK, 1)),
    "elu": Exact(
        left_of_0(lambda x: mp.expm1(x) if x > -1e4 else -ONE, lambda x: x),
        left_of_0(exp, const(ONE)), (-1, INF, 0, 1)),
    "selu": Exact(
        left_of_0(
            lambda x: SCALE * ALPHA * (mp.expm1(x) if x > -1e4 else -ONE), lambda x: SCALE * x),
        left_of_0(lambda x: SCALE * ALPHA * exp(x), const(SCALE)), (-SCALE * ALPHA, INF, 0, SCALE)),
    "swish": Exact(
        lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), (0, INF, 0, 1)),
    "gelu": Exact(lambda x: x * cdf(x), lambda x: cdf(x) + x * bell(x), (0, INF, 0, 1)),
    "erf": Exact(erf, lambda x: 2 / mp.sqrt(mp.pi) * bump(x), (-1, 1, 0, 0)),
    "erfc": Exact(erfc, lambda x: -2 / mp.sqrt(mp.pi) * bump(x), (2, 0, 0, 0)),
    "normal_cdf": Exact(cdf, bell, (0, 1, 0, 0)),
    "normal_pdf": Exact(bell, lambda x: -x * bell(x), (0, 0, 0, 0)),
    "gaussian": Exact(bump, lambda x: -2 * x * bump(x), (0, 0, 0, 0)),
    "exp": Exact(exp, exp, (0, INF, 0, INF)),
    "expm1": Exact(lambda x: mp.expm1(x) if abs(x) < 1e4 else exp(x) - 1, exp, (-1, INF, 0, INF)),
    "exp2": Exact(lambda x: exp(x * LN2), lambda x: LN2 * exp(x * LN2), (0, INF, 0, INF)),
    "log": Exact(mplog, inv, (NAN, INF, NAN, 0), positive),
    "log2": Exact(lambda x: mplog(x) / LN2, lambda x: inv(x) / LN2, (NAN, INF, NAN, 0), positive),
    "log10": Exact(
        lambda x: mplog(x) / LN10, lambda x: inv(x) / LN10, (NAN, INF, NAN, 0), positive),
    "log1p": Exact(
        lambda x: mp.log1p(x) if x > -1 else -HUGE, wide(lambda x: inv(1 + x)), (NAN, INF, NAN, 0),
        lambda x: x >= -1),
    "sqrt": Exact(mp.sqrt, lambda x: HALF * inv(mp.sqrt(x)), (NAN, INF, NAN, 0), positive),
    "square": Exact(*power(2), (INF, INF, -INF, INF)),
    "abs": Exact(abs, lambda x: mp.sign(x), (INF, INF, -1, 1)),
    "negative": Exact(lambda x: -x, const(-ONE), (INF, -INF, -1, -1)),
    "reciprocal": Exact(lambda x: 1 / x, lambda x: -1 / (x * x), (0, 0, 0, 0), lambda x: x != 0),
    "sin": Exact(wide(mp.sin), wide(mp.cos)),
    "cos": Exact(wide(mp.cos), wide(lambda x: -mp.sin(x))),
    "tan": Exact(wide(mp.tan), wide(lambda x: mp.sec(x) ** 2)),
    "sinh": Exact(sinh, cosh, (-INF, INF, INF, INF)),
    "cosh": Exact(cosh, sinh, (INF, INF, -INF, INF)),
    "arcsin": Exact(
        mp.asin, lambda x: inv(mp.sqrt((1 - x) * (1 + x))), inside=unit),
    "arccos": Exact(
        mp.acos, lambda x: -inv(mp.sqrt((1 - x) * (1 + x))), inside=unit),
    "arctan": Exact(mp.atan, lambda x: 1 / (1 + x * x), (-mp.pi / 2, mp.pi / 2, 0, 0)),
    "arcsinh": Exact(wide(mp.asinh), lambda x: 1 / mp.sqrt(1 + x * x), (-INF, INF, 0, 0)),
    "arccosh": Exact(
        wide(mp.acosh), lambda x: inv(mp.sqrt((x - 1) * (x + 1))), (NAN, INF, NAN, 0),
        lambda x: x >= 1),
    "arctanh": Exact(
        lambda x: wide(mp.atanh)(x) if abs(x) < 1 else x * HUGE,
        lambda x: inv((1 - x) * (1 + x)), inside=unit),
    "power(x,2)": Exact(*power(2), (INF, INF, -INF, INF)),
    "power(x,3)": Exact(*power(3), (-INF, INF, INF, INF)),
    "power(x,-1)": Exact(lambda x: 1 / x, lambda x: -1 / (x * x), (0, 0, 0, 0), lambda x: x != 0),
    "power(x,0.5)": Exact(mp.sqrt, lambda x: HALF * inv(mp.sqrt(x)), (NAN, INF, NAN, 0), positive),
    "power(x,0)": Exact(const(ONE), const(ZERO), (1, 1, 0, 0)),
    "power(2,x)": Exact(lambda x: exp(x * LN2), lambda x: LN2 * exp(x * LN2), (0, INF, 0, INF)),
    "maximum(x,0)": Exact(
        lambda x: max(x, ZERO), lambda x: mpf(x > 0) if x else HALF, (0, INF, 0, 1)),
    "minimum(x,1)": Exact(
        lambda x: min(x, ONE), lambda x: mpf(x < 1) if x != 1 else HALF, (-INF, 1, 1, 0)),
    "clip(x,-1,1)": Exact(
        lambda x: min(max(x, -ONE), ONE), lambda x: mpf(abs(x) <= 1), (-1, 1, 0, 0)),
    "hypot(x,1)": Exact(
        wide(lambda x: mp.sqrt(x * x + 1)), lambda x: x / mp.sqrt(x * x + 1), (INF, INF, -1, 1)),
    "logaddexp(x,1)": Exact(
        lambda x: 1 + softplus(x - 1), lambda x: sigmoid(x - 1), (1, INF, 0, 1)),
}  # fmt: skip


def huber(y: Any) -> tuple[Any, Any]:
    return (
        wide(lambda p: (p - y) ** 2 / 2 if abs(p - y) <= 1 else abs(p - y) - HALF),
        lambda p: min(max(p - y, -ONE), ONE),
    )


def bce(y: Any) -> tuple[Any, Any]:
    def value(p: Any) -> Any:
        hit = y * mplog(p) if y else ZERO
        miss = (1 - y) * (mp.log1p(-p) if p < 1 else -HUGE) if y != 1 else ZERO
        return -hit - miss

    return (
        value,
        lambda p: ((1 - y) * inv(1 - p) if y != 1 else ZERO) - (y * inv(p) if y else ZERO),
    )


def bce_logits(y: Any) -> tuple[Any, Any]:
    return (
        lambda z: ((1 - y) * z if z > 0 else -y * z) + softplus(-abs(z)),
        lambda z: (1 - y) * sigmoid(z) - y * sigmoid(-z),
    )


def hinge(y: Any) -> tuple[Any, Any]:
    return (
        wide(lambda p: max(ZERO, 1 - y * p)),
        wide(lambda p: (ZERO if y * p > 1 else -y) if y * p != 1 else -y / 2),
    )


def poisson(y: Any) -> tuple[Any, Any]:
    return (
        lambda p: p - (y * mplog(p) if y else ZERO),
        lambda p: ((p - y) / p if p else -HUGE) if y else ONE,
    )


def losses() -> dict[str, tuple[str, float, Exact]]:
    """Return each loss at some targets: (public name, target, exact)."""
    found: dict[str, tuple[str, float, Exact]] = {}

    def enter(name: str, y: float, pair: tuple[Any, Any], **facts: Any) -> None:
        found[f"{name}({y})"] = (name, y, Exact(*pair, **facts))

    for y in (0.0, 0.3, -2.5, 1e10):
        t = mpf(y)
        enter("mse", y, (wide(lambda p, t=t: (p - t) ** 2), wide(lambda p, t=t: 2 * (p - t))),
              limits=(INF, INF, -INF, INF))  # fmt: skip
        enter("half_mse", y, (wide(lambda p, t=t: (p - t) ** 2 / 2), wide(lambda p, t=t: p - t)),
              limits=(INF, INF, -INF, INF))  # fmt: skip
        enter("mae", y, (wide(lambda p, t=t: abs(p - t)), lambda p, t=t: mp.sign(p - t)),
              limits=(INF, INF, -1, 1))  # fmt: skip
        enter("huber", y, huber(t), limits=(INF, INF, -1, 1))
    for y in (1.0, -1.0):
        enter("hinge", y, hinge(mpf(y)), limits=(INF, 0, -1, 0) if y > 0 else (0, INF, 0, 1))
    for y in (0.0, 1.0, 0.25):
        enter("bce", y, bce(mpf(y)), inside=lambda p: 0 <= p <= 1)
        low, high = (INF if y else 0), (INF if y < 1 else 0)
        enter("bce_logits", y, bce_logits(mpf(y)), limits=(low, high, -y, 1 - y))
    for y in (0.0, 1.0, 3.0, 40.0):
        enter("poisson", y, poisson(mpf(y)), limits=(NAN, INF, NAN, 1), inside=positive)
    return found


LOSSES = losses()
UNIT_POINTS = [
    *(1 - 2.0**-53, 1 - 1e-15, 1 - 1e-10, 1 - 1e-5, 0.999),
    *rng.uniform(0, 1, 40).tolist(),
    *(10 ** rng.uniform(-300, 0, 20)).tolist(),
]


def function(name: str) -> Callable[[Any], Any]:
    """Return the public function that a name of the table means."""
    if name in LOSSES:
        loss, y, _ = LOSSES[name]
        return lambda x: getattr(pc, loss)(x, np.full(np.shape(x), y), reduction="sum")
    if "(" in name:
        return lambda x: eval(name, {**vars(pc), "x": x})
    return lambda x: getattr(np, name)(x) if name == "abs" else getattr(pc, name)(x)


def exact_of(name: str) -> Exact:
    return LOSSES[name][2] if name in LOSSES else ONE_NUMBER[name]


class Found(NamedTuple):
    """One comparison: where, what came, what is exact, and the distance in ulp."""

    kind: str  # value or slope
    at: Any
    got: float
    exact: Any
    ulps: float

    @property
    def broken(self) -> bool:
        """NaN or infinite where the limit is finite."""
        finite = bool(mp.isfinite(self.exact)) and abs(self.exact) < MAX
        return finite and self.ulps == INF and not math.isfinite(self.got)


def found(kind: str, at: Any, got: Any, exact: Any) -> Found:
    exact = mpf(exact)
    return Found(kind, at, float(got), exact, ulps(float(got), exact))


def points_of(name: str) -> list[float]:
    extra = UNIT_POINTS if name.startswith(("bce(", "arc")) else []
    if name == "arccosh":
        extra = [1 + 10.0**-k for k in range(16)]
    return [x for x in [*POINTS, *extra] if exact_of(name).inside(x)]


@cache
def compared(name: str) -> list[Found]:
    """Compare value and slope at every point: scalars at the edges, and all at once as an array."""
    f, exact = function(name), exact_of(name)
    xs = points_of(name)
    slopes = pc.grad(lambda x: pc.sum(f(x)))(np.array(xs))
    results = []
    for k, (x, slope) in enumerate(zip(xs, slopes, strict=True)):
        if k % 3 == 0:  # a number alone must give what it gives in an array
            assert pc.grad(f)(x) == slope
        results.append(found("value", x, f(x), exact.value(mpf(x))))
        results.append(found("slope", x, slope, exact.slope(mpf(x))))
    for k, x in enumerate((-INF, INF)):
        if not mp.isnan(exact.limits[k]) or exact.inside is Exact._field_defaults["inside"]:
            results.append(found("value", x, f(x), exact.limits[k]))
            results.append(found("slope", x, pc.grad(f)(x), exact.limits[2 + k]))
    if name != "power(x,0)":  # NaN to the power of 0 is 1, by IEEE 754
        results.append(found("value", NAN, f(NAN), NAN))
    return results


# -- the softmax family --------------------------------------------------------------------------

SPREAD = [
    0.0, 1e-300, -1e-20, 1e-8, 0.5, -1.0, 2.0, 5.0, -10.0, 20.0, -30.0, 36.0, 40.0, 100.0, -700.0,
    710.0, 745.0, 1e3, -1e10, 1e154, MAX, -MAX,
]  # fmt: skip
ROWS = [
    *([a, b] for a in SPREAD for b in SPREAD),
    [2.0, 1.0, 0.1], [1.0, 2.0, 3.0], [1e4 + 2, 1e4 + 1, 1e4], [1e308, 1e308, -1e308], [0.0] * 5,
    [3.0],
    [-745.0, 0.0, 745.0], [1e-310, -1e-310, 0.0], [MAX, MAX, MAX], [-MAX, -MAX],
    *rng.uniform(-5, 5, (20, 4)).tolist(), *rng.uniform(-40, 40, (20, 3)).tolist(),
    *rng.uniform(-700, 700, (10, 3)).tolist(),
    *rng.integers(-40, 40, (20, 4)).astype(float).tolist(),
]  # fmt: skip
LIMIT_ROWS = [[INF, 1.0], [-INF, 0.0], [-INF, 0.0, 1.0], [-INF, MAX], [1.0, 2.0, -INF]]


def minus(a: Any, b: Any) -> Any:
    """Return a - b with enough digits for 1e308 - 1e-300."""
    with mp.workdps(700):
        return a - b


def exact_log_softmax(row: list[float]) -> list[Any]:
    """Return x - max - log1p(the other terms); x_k = -inf gives -inf, and inf is one winner."""
    if INF in row:
        return [ZERO if x == INF else -HUGE for x in row]
    top = max(row)
    first = row.index(top)
    d = [minus(mpf(x), mpf(top)) if x > -INF else -HUGE for x in row]
    rest = mp.fsum(exp(v) for k, v in enumerate(d) if k != first)
    return [v - mp.log1p(rest) for v in d]


def exact_softmax(row: list[float]) -> list[Any]:
    return [exp(v) if v > -HUGE else ZERO for v in exact_log_softmax(row)]


def others(s: list[Any], k: int) -> Any:
    """Return 1 - s[k] as the sum of the others: it may be 1e-300."""
    return mp.fsum(v for j, v in enumerate(s) if j != k)


def exact_rows(row: list[float]) -> dict[str, tuple[list[Any], list[Any]]]:
    """Return, for each function of a row, its values and its Jacobian (both flat)."""
    n, ls, s = len(row), exact_log_softmax(row), exact_softmax(row)
    every = [(i, j) for i in range(n) for j in range(n)]
    top = max(row)
    found = {
        "softmax": (s, [s[i] * others(s, i) if i == j else -s[i] * s[j] for i, j in every]),
        "log_softmax": (ls, [others(s, i) if i == j else -s[j] for i, j in every]),
        "logsumexp": ([minus(mpf(top), ls[row.index(top)]) if top < INF else HUGE], s),
        "cce_logits": ([-ls[0]], [s[j] if j else -others(s, 0) for j in range(n)]),
    }
    if n > 1:
        mixed = [HALF, HALF, *[ZERO] * (n - 2)]
        total = [HALF * (-a if a > -HUGE else HUGE) for a in ls[:2]]
        found["cce_logits(soft)"] = (
            [total[0] + total[1]],
            [minus(s[j], mixed[j]) for j in range(n)],
        )
    return found


def row_functions(n: int) -> dict[str, Callable[[Any], Any]]:
    one, soft = np.eye(n)[:1], np.array([[0.5, 0.5, *[0.0] * (n - 2)]])
    return {
        "softmax": pc.softmax,
        "log_softmax": pc.log_softmax,
        "logsumexp": pc.logsumexp,
        "cce_logits": lambda x: pc.cce_logits(x.reshape((1, n)), one),
        "cce_logits(soft)": lambda x: pc.cce_logits(x.reshape((1, n)), soft),
    }


@cache
def compared_rows(name: str) -> list[Found]:
    results = []
    for row in [*ROWS, *LIMIT_ROWS]:
        exacts = exact_rows(row)
        if name not in exacts:
            continue
        values, slopes = exacts[name]
        f = row_functions(len(row))[name]
        got, jacobian = np.ravel(f(np.array(row))), np.ravel(pc.jacobian(f)(np.array(row)))
        results += [found("value", row, g, e) for g, e in zip(got, values, strict=True)]
        results += [found("slope", row, g, e) for g, e in zip(jacobian, slopes, strict=True)]
    return results


@cache
def compared_cce() -> list[Found]:
    """Compare cce of shares with one-hot and with soft targets."""
    results = []
    shares = [v for v in UNIT_POINTS if v < 1] + [1e-300, 5e-324, 1.0]
    for p in shares:
        for y in ([1.0, 0.0], [0.25, 0.75]):
            row = [p, max(1 - p, 0.0)]
            f = lambda x, y=y: pc.cce(x.reshape((1, 2)), np.array([y]))  # noqa: E731
            exact = mp.fsum(-mpf(t) * mplog(mpf(v)) for v, t in zip(row, y, strict=True) if t)
            results.append(found("value", row, f(np.array(row)), exact))
            slopes = [-mpf(t) * inv(mpf(v)) if t else ZERO for v, t in zip(row, y, strict=True)]
            got = pc.grad(f)(np.array(row))
            results += [found("slope", row, g, e) for g, e in zip(got, slopes, strict=True)]
    return results


ROW_NAMES = ["softmax", "log_softmax", "logsumexp", "cce_logits", "cce_logits(soft)"]
NAMES = [*ONE_NUMBER, *LOSSES, *ROW_NAMES, "cce"]


# -- the promises --------------------------------------------------------------------------------

# The measured share within the bound, where it is not all: (values, slopes).
FLOORS = {
    "swish": (1, 0.98),  # near its minimum at -1.28 the slope is a difference of equal terms
    "gelu": (1, 0.985),  # the same near -0.75
    "log": (1, 0.99),  # at -0.0 the slope is 1/-0.0 = -inf, the limit from inside the domain +inf
    "log2": (1, 0.99),
    "log10": (1, 0.99),
    "sqrt": (1, 0.99),
    "bce(1.0)": (1, 0.99),
    "bce(0.25)": (1, 0.99),
    "poisson(1.0)": (1, 0.99),
    "poisson(3.0)": (0.95, 0.99),  # p - 3 ln p crosses 0 at 1.857 and 4.536
    "poisson(40.0)": (1, 0.99),
    "cce_logits(soft)": (1, 0.98),  # shares that differ from the target by less than an ulp
}


def results_of(name: str) -> list[Found]:
    if name in ROW_NAMES:
        return compared_rows(name)
    return compared_cce() if name == "cce" else compared(name)


def bound(name: str) -> int:
    """Return the promised bound in ulp: 16 for losses, which are composites."""
    return 16 if name in LOSSES or name.startswith("cce") else 4


def share(names: list[str], kind: str) -> float:
    inside = [r.ulps <= bound(n) for n in names for r in results_of(n) if r.kind == kind]
    return sum(inside) / len(inside)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_keeps_its_digits(name: str) -> None:
    values, slopes = FLOORS.get(name, (1, 1))
    worst = sorted(results_of(name), key=lambda r: -r.ulps)[:5]
    assert share([name], "value") >= values, worst
    assert share([name], "slope") >= slopes, worst


@pytest.mark.parametrize("name", NAMES)
def test_nan_or_inf_never_stands_for_a_finite_limit(name: str) -> None:
    assert [r for r in results_of(name) if r.broken] == []


def test_the_promise_over_all_functions() -> None:
    assert share(NAMES, "value") >= 0.99
    assert share(NAMES, "slope") >= 0.98


@pytest.mark.parametrize("name", [*ONE_NUMBER, *LOSSES])
def test_the_table_itself_is_right(name: str) -> None:
    """The slopes in the table are those of its values, by differences of 60 digits."""
    exact = exact_of(name)
    for x in (0.137, 0.731, 1.37, 3.31, -0.73, -2.9):
        if exact.inside(x - 1e-3) and exact.inside(x + 1e-3):
            slope = mp.diff(exact.value, mpf(x))
            assert abs(slope - exact.slope(mpf(x))) <= mpf(10) ** -25 * max(1, abs(slope))


BOUNDED = [  # functions whose second derivative is finite everywhere, and 0 or known at infinity
    "sigmoid", "tanh", "softplus", "log_sigmoid", "relu", "leaky_relu", "elu", "selu", "swish",
    "gelu", "erf", "erfc", "normal_cdf", "normal_pdf", "gaussian", "square", "abs", "arctan",
    "arcsinh", "hypot(x,1)", "logaddexp(x,1)", "maximum(x,0)", "clip(x,-1,1)",
    "mse(0.3)", "half_mse(0.3)", "mae(0.3)", "huber(0.3)", "hinge(1.0)", "bce_logits(0.25)",
]  # fmt: skip


def second(f: Callable[[Any], Any], xs: Any) -> Any:
    return pc.grad(lambda x: pc.sum(pc.grad(lambda v: pc.sum(f(v)))(x)))(xs)


@pytest.mark.parametrize("name", BOUNDED)
def test_second_slopes_are_finite_and_right(name: str) -> None:
    f, exact = function(name), exact_of(name)
    assert np.all(np.isfinite(second(f, np.array([*EDGES, INF, -INF]))))
    xs = np.array([0.137, 0.731, 1.37, 3.31, 11.3, 29.7, -0.73, -2.9, -9.4, -21.3])
    for x, got in zip(xs, second(f, xs), strict=True):
        with mp.workdps(300):  # a slope of 1 - 1e-190 has a curvature
            curvature = mp.diff(exact.slope, mpf(float(x)))
        assert abs(mpf(float(got)) - curvature) <= mpf("1e-12") * abs(curvature) + mpf("1e-300")
