"""Arithmetic, comparison and choice, one entry each: value, formula, derivative, meaning.

A derivative gives, for each operand, the upstream gradient `g` times the local one.  Undoing a
broadcast is not its concern: `grad` sums every gradient down to the shape of its operand.
"""
# fmt: off

from __future__ import annotations

import math
from typing import Any

from pellucid.errors import DtypeError
from pellucid.graph import FUNCTIONS, Node
from pellucid.ops.core import Array, op, public

add = op("add", "x, y", numpy="x + y", formula="$x + $y", level=1, commutes=True,
    vjp=(lambda g, z, x, y: g,
         lambda g, z, x, y: g),
    says="adds, element by element", torch="x + y", onnx="Add")

subtract = op("subtract", "x, y", numpy="x - y", formula="$x - $y", level=1,
    vjp=(lambda g, z, x, y: g,
         lambda g, z, x, y: -g),
    says="subtracts the second from the first", torch="x - y", onnx="Sub")

multiply = op("multiply", "x, y", numpy="x * y", formula=r"$x \cdot $y", level=2, commutes=True,
    vjp=(lambda g, z, x, y: g * y,
         lambda g, z, x, y: g * x),
    says="multiplies, element by element", torch="x * y", onnx="Mul")

divide = op("divide", "x, y", numpy="x / y", formula=r"\frac{$x}{$y}", dtype="quotient",
    vjp=(lambda g, z, x, y: g / y,
         lambda g, z, x, y: -(g * (z / y))),
    domain=((-2, 2), (0.5, 2)), steep=True,
    says="divides the first by the second", torch="x / y", onnx="Div")

negative = op("negative", "x", numpy="-x", formula="-$x", level=2,
    vjp=(lambda g, y, x: -g,),
    says="turns the sign", torch="-x", onnx="Neg")

square = op("square", "x", numpy="x ** 2", formula="{$x}^2", level=3, dtype="powered",
    vjp=(lambda g, y, x: (2 * g) * x,),  # 2 x can overflow where half of it is asked for
    same_as=lambda x: x * x,
    says="multiplies each value by itself", torch="x ** 2")

sqrt = op("sqrt", "x", numpy="np.sqrt(x)", formula=r"\sqrt{$x}", dtype="inexact",
    vjp=(lambda g, y, x: g * (0.5 / y),),
    domain=((0.1, 3),), steep=True,
    says="the number whose square is x", torch="torch.sqrt(x)", onnx="Sqrt")

_power = op("power", "x, y", numpy="x ** y", formula="{$x}^{$y}", level=3, dtype="powered",
    vjp=(lambda g, z, x, y: g * _slope_in_base(x, y),
         lambda g, z, x, y: g * where((x == 0) & (y > 0), 0, z * FUNCTIONS["log"](x))),
    domain=((0.5, 2), (-2, 2)), steep=True,
    says="raises the first to the power of the second", torch="x ** y", onnx="Pow",
    note="At exponent 0 the slope in x is 0, and at x = 0 the slope in y > 0 is 0: the limits.")


def _slope_in_base(x: Node, y: Node) -> Node:
    if y.is_constant and not y.ndim:
        return y * power(x, y - 1) if y.data else 0 * y
    return where(y == 0, 0, y * power(x, y - 1))


@public(numpy="pow")
def power(x: Array, y: Array) -> Any:
    """Raise the first to the power of the second: x^y; an exponent of 2 is the op `square`."""
    twice = y.weak and y.is_constant and y.data == 2
    floats = x.dtype is None or x.dtype.kind == "f" or y.dtype.kind != "f"  # 3**2.0 is a float
    return square(x) if twice and floats else _power(x, y)


@public
def float_power(x: Array, y: Array) -> Any:
    """Raise the first to the power of the second, in float64."""
    return power(FUNCTIONS["astype"](x, float), FUNCTIONS["astype"](y, float))


absolute = op("absolute", "x", numpy="np.abs(x)", formula="|$x|",
    vjp=(lambda g, y, x: g * sign(x),),
    says="drops the sign", torch="torch.abs(x)", onnx="Abs", also="abs fabs")

sign = op("sign", "x", numpy="np.sign(x)", formula=r"\operatorname{sign}($x)",
    vjp=(None,),
    says="-1, 0 or 1: the direction without the size", torch="torch.sign(x)", onnx="Sign")

maximum = op("maximum", "x, y", numpy="np.maximum(x, y)", formula=r"\max($x, $y)", commutes=True,
    vjp=(lambda g, z, x, y: _won(g, x, y),
         lambda g, z, x, y: _won(g, y, x)),
    hides=(lambda x, y: x < y, lambda x, y: y < x),
    says="the larger of two; where they tie, each gets half of the slope",
    torch="torch.maximum(x, y)", onnx="Max")

minimum = op("minimum", "x, y", numpy="np.minimum(x, y)", formula=r"\min($x, $y)", commutes=True,
    vjp=(lambda g, z, x, y: _won(g, y, x),
         lambda g, z, x, y: _won(g, x, y)),
    hides=(lambda x, y: x > y, lambda x, y: y > x),
    says="the smaller of two; where they tie, each gets half of the slope",
    torch="torch.minimum(x, y)", onnx="Min")


def _won(g: Node, x: Node, y: Node) -> Node:
    """Return g where x is larger, half of it where both tie: chosen, since g may be infinite."""
    return where(x < y, 0, where(x == y, 0.5 * g, g))


where = op("where", "condition, x, y", numpy="np.where(condition, x, y)",
    formula=r"\begin{cases} $x & $condition \\ $y & \text{else} \end{cases}", dtype="chosen",
    vjp=(None,
         lambda g, z, condition, x, y: where(condition, g, 0),
         lambda g, z, condition, x, y: where(condition, 0, g)),
    says="takes from x where the condition holds, and from y elsewhere",
    torch="torch.where(condition, x, y)", onnx="Where", masks=True,
    hides=(None, lambda condition, x, y: logical_not(condition), lambda condition, x, y: condition),
    domain=((0, 1), (-2, 2), (-2, 2)))


_clip = op("clip", "x, low, high", numpy="np.clip(x, low, high)",
    formula=r"\operatorname{clip}($x, $low, $high)",
    vjp=(lambda g, y, x, low, high: where((x < low) | (x > high), 0, g),
         lambda g, y, x, low, high: where((x < low) & (low <= high), g, 0),
         lambda g, y, x, low, high: where((x > high) | (low > high), g, 0)),  # high is last
    hides=(lambda x, low, high: (x < low) | (x > high), None, None),
    says="limits values to [low, high]", torch="torch.clamp(x, low, high)", onnx="Clip",
    domain=((-3, 3), (-1, -0.5), (0.5, 1)), internal=True)


@public
def clip(x: Array, min: Array = None, max: Array = None) -> Any:
    """Limit values to [min, max]; the slope is 1 inside and on the bounds, 0 outside."""
    if x.dtype.kind != "f" and (min is None or max is None):  # integers have no infinity
        return x if min is max else (maximum(x, min) if max is None else minimum(x, max))
    return _clip(x, -math.inf if min is None else min, math.inf if max is None else max)


floor = op("floor", "x", numpy="np.floor(x)", formula=r"\lfloor $x \rfloor", vjp=(None,),
    says="rounds down; flat, so its slope is 0", torch="torch.floor(x)", onnx="Floor")
ceil = op("ceil", "x", numpy="np.ceil(x)", formula=r"\lceil $x \rceil", vjp=(None,),
    says="rounds up; flat, so its slope is 0", torch="torch.ceil(x)", onnx="Ceil")
rint = op("rint", "x", numpy="np.rint(x)", formula=r"\operatorname{round}($x)", dtype="inexact",
    vjp=(None,),
    says="rounds to the nearest integer, ties to even; flat, so its slope is 0",
    torch="torch.round(x)", onnx="Round")
trunc = op("trunc", "x", numpy="np.trunc(x)", formula=r"\operatorname{trunc}($x)", vjp=(None,),
    says="rounds towards zero; flat, so its slope is 0", torch="torch.trunc(x)", also="fix")
floor_divide = op("floor_divide", "x, y", numpy="x // y", vjp=(None, None),
    domain=((-2, 2), (0.5, 2)),
    formula=r"\left\lfloor \frac{$x}{$y} \right\rfloor", says="divides and rounds down",
    torch="torch.floor_divide(x, y)")
mod = op("mod", "x, y", numpy="x % y", formula=r"$x \bmod $y", level=2, domain=((-2, 2), (0.5, 2)),
    vjp=(lambda g, z, x, y: g,
         lambda g, z, x, y: -g * floor_divide(x, y)),
    says="what is left after dividing and rounding down", torch="torch.remainder(x, y)",
    also="remainder")


def _comparison(name: str, sign: str, latex: str, says: str, onnx: str) -> Any:
    return op(name, "x, y", numpy=f"x {sign} y", formula=f"$x {latex} $y", level=0, dtype="boolean",
        vjp=(None, None), says=says, torch=f"x {sign} y", onnx=onnx)


greater = _comparison("greater", ">", ">", "whether the first is larger", "Greater")
greater_equal = _comparison("greater_equal", ">=", r"\ge",
    "whether the first is at least the second", "GreaterOrEqual")
less = _comparison("less", "<", "<", "whether the first is smaller", "Less")
less_equal = _comparison("less_equal", "<=", r"\le", "whether the first is at most the second",
    "LessOrEqual")
equal = _comparison("equal", "==", "=", "whether both are the same number", "Equal")
not_equal = _comparison("not_equal", "!=", r"\ne", "whether the two differ", "")


def _logic(name: str, args: str, latex: str, says: str, onnx: str) -> Any:
    text = f"np.{name}({args})"
    return op(name, args, numpy=text, formula=latex, level=0, dtype="boolean",
        vjp=(None,) * (args.count(",") + 1), says=says, torch=text.replace("np.", "torch."),
        onnx=onnx)


logical_and = _logic("logical_and", "x, y", r"$x \wedge $y", "whether both hold", "And")
logical_or = _logic("logical_or", "x, y", r"$x \vee $y", "whether at least one holds", "Or")
logical_xor = _logic("logical_xor", "x, y", r"$x \oplus $y", "whether exactly one holds", "Xor")
logical_not = _logic("logical_not", "x", r"\neg $x", "whether it does not hold", "Not")
isnan = _logic("isnan", "x", r"$x \text{ is NaN}", "whether it is not a number", "IsNaN")
isinf = _logic("isinf", "x", r"|$x| = \infty", "whether it is infinite", "IsInf")
isfinite = _logic("isfinite", "x", r"|$x| < \infty", "whether it is a finite number", "")


def _condition(x: Node) -> Node:
    if x.dtype is not None and x.dtype != bool:
        raise DtypeError(f"& | ^ ~ join conditions, but {x!r} holds numbers",
        "compare first: (x > 0) & (y > 0)")
    return x


@public
def bitwise_and(x: Array, y: Array) -> Any:
    """Say whether both conditions hold: x & y."""
    return logical_and(_condition(x), _condition(y))


@public
def bitwise_or(x: Array, y: Array) -> Any:
    """Say whether at least one condition holds: x | y."""
    return logical_or(_condition(x), _condition(y))


@public
def bitwise_xor(x: Array, y: Array) -> Any:
    """Say whether exactly one condition holds: x ^ y."""
    return logical_xor(_condition(x), _condition(y))


@public(numpy="bitwise_not bitwise_invert")
def invert(x: Array) -> Any:
    """Say whether a condition does not hold: ~x."""
    return logical_not(_condition(x))


@public(numpy="conjugate conj")
def positive(x: Array) -> Any:
    """Return x unchanged: +x."""
    return x


@public
def reciprocal(x: Array) -> Any:
    """One over x: 1 / x."""
    return 1.0 / x


@public(numpy="radians")
def deg2rad(x: Array) -> Any:
    """Turn degrees into radians: x π / 180."""
    return x * (math.pi / 180)


@public(numpy="degrees")
def rad2deg(x: Array) -> Any:
    """Turn radians into degrees: x 180 / π."""
    return x * (180 / math.pi)


@public(numpy="round")
def around(x: Array, decimals: int = 0) -> Any:
    """Round to a number of decimals; flat, so its slope is 0."""
    if x.dtype.kind in "iu" and decimals >= 0:
        return x
    return rint(x * 10.0**decimals) / 10.0**decimals if decimals else rint(x)
