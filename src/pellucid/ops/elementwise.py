"""Functions of one number, applied element by element: exponentials, waves, activations.

Values and slopes are within a few units in the last place at every float64, subnormals, the
largest numbers and infinities included; where a plain formula is not, a comment says why.
"""
# fmt: off

from __future__ import annotations

import math
from typing import Any

from pellucid.graph import Node
from pellucid.ops.arithmetic import absolute, clip, isinf, minimum, sign, sqrt, square, where
from pellucid.ops.core import Array, helper, op, public

# -- exponentials and logarithms ---------------------------------------------------------------

exp = op("exp", "x", numpy="np.exp(x)", formula="e^{$x}", level=3, dtype="inexact", steep=True,
    vjp=(lambda g, y, x: g * y,),
    says="e to the power of x", torch="torch.exp(x)", onnx="Exp")

expm1 = op("expm1", "x", numpy="np.expm1(x)", formula="e^{$x} - 1", level=1, dtype="inexact",
    steep=True,
    vjp=(lambda g, y, x: g * exp(x),),
    says="e to the power of x, minus 1, exact near 0", torch="torch.expm1(x)")

exp2 = op("exp2", "x", numpy="np.exp2(x)", formula="2^{$x}", level=3, dtype="inexact", steep=True,
    vjp=(lambda g, y, x: g * (math.log(2) * y),),
    says="2 to the power of x", torch="torch.exp2(x)")

log = op("log", "x", numpy="np.log(x)", formula=r"\ln($x)", dtype="inexact", steep=True,
    domain=((0.1, 3),),
    vjp=(lambda g, y, x: g / x,),
    says="the power to which e gives x", torch="torch.log(x)", onnx="Log")

log1p = op("log1p", "x", numpy="np.log1p(x)", formula=r"\ln(1 + $x)", dtype="inexact", steep=True,
    domain=((-0.9, 3),),
    vjp=(lambda g, y, x: g / (1 + x),),
    says="the logarithm of 1 + x, exact near 0", torch="torch.log1p(x)")

log2 = op("log2", "x", numpy="np.log2(x)", formula=r"\log_2($x)", dtype="inexact", steep=True,
    domain=((0.1, 3),),
    vjp=(lambda g, y, x: g * (1 / math.log(2)) / x,),
    says="the power to which 2 gives x", torch="torch.log2(x)")

log10 = op("log10", "x", numpy="np.log10(x)", formula=r"\log_{10}($x)", dtype="inexact", steep=True,
    domain=((0.1, 3),),
    vjp=(lambda g, y, x: g * (1 / math.log(10)) / x,),
    says="the power to which 10 gives x", torch="torch.log10(x)")

# -- waves, hyperbolas and their inverses ------------------------------------------------------

sin = op("sin", "x", numpy="np.sin(x)", formula=r"\sin($x)", dtype="inexact",
    vjp=(lambda g, y, x: g * cos(x),),
    says="the height of the point at angle x, in radians", torch="torch.sin(x)", onnx="Sin")

cos = op("cos", "x", numpy="np.cos(x)", formula=r"\cos($x)", dtype="inexact",
    vjp=(lambda g, y, x: -(g * sin(x)),),
    says="the width of the point at angle x, in radians", torch="torch.cos(x)", onnx="Cos")

tan = op("tan", "x", numpy="np.tan(x)", formula=r"\tan($x)", dtype="inexact", steep=True,
    domain=((-1.2, 1.2),),
    vjp=(lambda g, y, x: g * (1 + square(y)),),
    says="the slope of the line at angle x, in radians", torch="torch.tan(x)", onnx="Tan")

arcsin = op("arcsin", "x", numpy="np.arcsin(x)", formula=r"\arcsin($x)", dtype="inexact",
    steep=True, domain=((-0.9, 0.9),),
    vjp=(lambda g, y, x: g / sqrt((1 - x) * (1 + x)),),
    says="the angle whose sine is x", torch="torch.asin(x)", onnx="Asin", also="asin")

arccos = op("arccos", "x", numpy="np.arccos(x)", formula=r"\arccos($x)", dtype="inexact",
    steep=True, domain=((-0.9, 0.9),),
    vjp=(lambda g, y, x: -(g / sqrt((1 - x) * (1 + x))),),
    says="the angle whose cosine is x", torch="torch.acos(x)", onnx="Acos", also="acos")

arctan = op("arctan", "x", numpy="np.arctan(x)", formula=r"\arctan($x)", dtype="inexact",
    vjp=(lambda g, y, x: g * square(1 / hypot(1, x)),),  # 1/(1+x²), but x² cannot overflow
    says="the angle whose tangent is x", torch="torch.atan(x)", onnx="Atan", also="atan")

sinh = op("sinh", "x", numpy="np.sinh(x)", formula=r"\sinh($x)", dtype="inexact", steep=True,
    vjp=(lambda g, y, x: g * cosh(x),),
    says="half the difference of exp(x) and exp(-x)", torch="torch.sinh(x)", onnx="Sinh")

cosh = op("cosh", "x", numpy="np.cosh(x)", formula=r"\cosh($x)", dtype="inexact", steep=True,
    vjp=(lambda g, y, x: g * sinh(x),),
    says="half the sum of exp(x) and exp(-x)", torch="torch.cosh(x)", onnx="Cosh")

tanh = op("tanh", "x", numpy="np.tanh(x)", formula=r"\tanh($x)", dtype="inexact",
    vjp=(lambda g, y, x: g * tanh_slope(x),),
    says="squeezes each value into (-1, 1)", torch="torch.tanh(x)", onnx="Tanh")

tanh_slope = op("tanh_slope", "x", numpy="(1 / np.cosh(x)) ** 2", formula=r"\frac{1}{\cosh^2 $x}",
    dtype="inexact",
    vjp=(lambda g, y, x: -(g * (2 * y * tanh(x))),), internal=True,
    same_as=lambda x: square(1 / cosh(x)),
    says="the slope of tanh, as 1/cosh²: 1 - tanh² cancels where tanh is near 1",
    torch="(1 / torch.cosh(x)) ** 2")

arcsinh = op("arcsinh", "x", numpy="np.arcsinh(x)", formula=r"\operatorname{arsinh}($x)",
    dtype="inexact",
    vjp=(lambda g, y, x: g / hypot(1, x),),
    says="the number whose sinh is x", torch="torch.asinh(x)", onnx="Asinh", also="asinh")

arccosh = op("arccosh", "x", numpy="np.arccosh(x)", formula=r"\operatorname{arcosh}($x)",
    dtype="inexact", steep=True, domain=((1.2, 3),),
    vjp=(lambda g, y, x: g / (sqrt(x - 1) * sqrt(x + 1)),),
    says="the number of at least 0 whose cosh is x", torch="torch.acosh(x)", onnx="Acosh",
    also="acosh")

arctanh = op("arctanh", "x", numpy="np.arctanh(x)", formula=r"\operatorname{artanh}($x)",
    dtype="inexact", steep=True, domain=((-0.9, 0.9),),
    vjp=(lambda g, y, x: g / ((1 - x) * (1 + x)),),
    says="the number whose tanh is x", torch="torch.atanh(x)", onnx="Atanh", also="atanh")

# -- functions of two numbers ------------------------------------------------------------------

hypot = op("hypot", "x, y", numpy="np.hypot(x, y)", formula=r"\sqrt{{$x}^2 + {$y}^2}",
    dtype="inexact", commutes=True,
    vjp=(lambda g, z, x, y: g * _cosine(x, z),
         lambda g, z, x, y: g * _cosine(y, z)),
    says="the length of the vector (x, y), without overflow", torch="torch.hypot(x, y)",
    domain=((0.5, 2),),
    note="At the corner (0, 0) both slopes are 0, as that of |x| is.")


def _cosine(x: Node, length: Node) -> Node:
    """Return x / length, with its limits: 0 where both are 0, and ±1 where both are infinite."""
    return where(length == 0, 0, where(isinf(x), sign(x), x / length))


arctan2 = op("arctan2", "y, x", numpy="np.arctan2(y, x)", formula=r"\operatorname{atan2}($y, $x)",
    dtype="inexact",
    vjp=(lambda g, z, y, x: g * (_cosine(x, hypot(x, y)) / hypot(x, y)),
         lambda g, z, y, x: -(g * (_cosine(y, hypot(x, y)) / hypot(x, y)))),
    says="the angle of the point (x, y)", torch="torch.atan2(y, x)", domain=((0.5, 2), (-2, 2)),
    also="atan2")

logaddexp = op("logaddexp", "x, y", numpy="np.logaddexp(x, y)", formula=r"\ln(e^{$x} + e^{$y})",
    dtype="inexact", commutes=True,
    vjp=(lambda g, z, x, y: g * sigmoid(where(x == y, 0, x - y)),  # equal infinities share
         lambda g, z, x, y: g * sigmoid(where(x == y, 0, y - x))),
    says="the logarithm of exp(x) + exp(y), without overflow", torch="torch.logaddexp(x, y)")

# -- the error function and the normal distribution --------------------------------------------

helper('''def horner(coefficients, x):
    """The polynomial with these coefficients, the highest power first."""
    value = coefficients[0]
    for c in coefficients[1:]:
        value *= x  # in place, from the second step on
        value += c
    return value
''')

helper('''def erf_series(x):
    """erf for |x| <= 1/2: 2/sqrt(pi) sum (-1)^n x^(2n+1) / (n! (2n+1)), A. & Stegun 7.1.5."""
    sign_over_factorial, terms = 1.0, [1.0]
    for n in range(1, 13):
        sign_over_factorial /= -n
        terms.append(sign_over_factorial / (2 * n + 1))
    return x * (horner(terms[::-1], x * x) * 1.1283791670955126)
''')

helper('''def scaled_erfc(y):
    """exp(y^2) erfc(y) for y >= 0: a polynomial in q = (y - 3) / (y + 3), over 1 + 2y.

    After Shepherd & Laframboise, Math. Comp. 36 (1981) 249-253, who take 3.75 where 3 stands here.
    """
    c = [8.393734858690877e-10, 9.862533510345587e-10, -8.217595058711455e-09,
         -1.3312919661038687e-08, 4.1064013667940355e-08, 1.0183620603842736e-07,
         -1.4047654315428462e-07, -6.166011460398726e-07, 3.5576086684080595e-07,
         3.472370944977168e-06, -7.308281468783614e-07, -2.0100542268525612e-05,
         4.949196649968345e-06, 0.0001250993424583729, -0.00010515971958448065,
         -0.0007798322696543306, 0.0018886903449991718, 0.0025293918156939696,
         -0.02377051491717134, 0.0683080273440099, -0.11927366341538638,
         0.1296451587027594, -0.0475622943534492, -0.13562110612458117, 1.2530080582697296]
    return horner(c, (y - 3) / (y + 3)) / (1 + 2 * y)
''')

helper('''def exp_minus_square(x, c):
    """exp(-c x^2): rounding x^2 costs digits, so x = h + rest, h so short that h*h is exact."""
    x = np.minimum(np.abs(x), 40.0)
    h = np.trunc(x * 256) / 256
    return np.exp(-c * h * h) * np.exp(-c * (x - h) * (x + h))
''')

normal_pdf = op("normal_pdf", "x", formula=r"\varphi($x)", dtype="inexact",
    numpy="exp_minus_square(x, 0.5) * 0.3989422804014327",
    vjp=(lambda g, y, x: -(g * (clip(x, -40.0, 40.0) * y)),),  # the clip: no inf * 0
    says="the bell curve: the density of the standard normal distribution",
    torch="torch.exp(-x**2 / 2) / (2 * torch.pi) ** 0.5")

gaussian = op("gaussian", "x", formula=r"e^{-{$x}^2}", dtype="inexact",
    numpy="exp_minus_square(x, 1.0)",
    vjp=(lambda g, y, x: -(g * (2 * clip(x, -40.0, 40.0) * y)),),
    says="the bump exp(-x²)", torch="torch.exp(-x**2)")

erf = op("erf", "x", formula=r"\operatorname{erf}($x)", dtype="inexact", onnx="Erf",
    numpy='''def erf(x):
    """The error function: its series near 0, elsewhere 1 - erfc."""
    y = np.minimum(np.abs(x), 40.0)
    tail = exp_minus_square(y, 1.0) * scaled_erfc(y)
    return np.where(y < 0.5, erf_series(np.clip(x, -0.5, 0.5)), np.sign(x) * (1 - tail))
''',
    vjp=(lambda g, y, x: g * (2 / math.sqrt(math.pi) * gaussian(x)),),
    says="the error function: the share of a normal distribution within x√2 deviations",
    torch="torch.special.erf(x)")

erfc = op("erfc", "x", formula=r"\operatorname{erfc}($x)", dtype="inexact",
    numpy='''def erfc(x):
    """1 - erf(x), with every digit where that difference is tiny."""
    y = np.minimum(np.abs(x), 40.0)
    tail = exp_minus_square(y, 1.0) * scaled_erfc(y)
    middle = 1 - erf_series(np.clip(x, -0.5, 0.5))
    return np.where(y < 0.5, middle, np.where(x < 0, 2 - tail, tail))
''',
    vjp=(lambda g, y, x: -(g * (2 / math.sqrt(math.pi) * gaussian(x))),),
    says="1 minus the error function, exact where that is tiny", torch="torch.special.erfc(x)")

normal_cdf = op("normal_cdf", "x", formula=r"\Phi($x)", dtype="inexact",
    numpy='''def normal_cdf(x):
    """The share of a normal distribution below x: erfc(-x/sqrt(2)) / 2, exact in the tail."""
    y = np.minimum(np.abs(x), 40.0)
    tail = exp_minus_square(y, 0.5) * (scaled_erfc(y * 0.7071067811865476) / 2)
    middle = 0.5 + erf_series(np.clip(x, -0.7, 0.7) * 0.7071067811865476) / 2
    return np.where(y < 0.7, middle, np.where(x < 0, tail, 1 - tail))
''',
    vjp=(lambda g, y, x: g * normal_pdf(x),),
    says="the share of a standard normal distribution below x", torch="torch.special.ndtr(x)")

# -- activations -------------------------------------------------------------------------------

sigmoid = op("sigmoid", "x", formula=r"\sigma($x)", dtype="inexact",
    numpy='''def sigmoid(x):
    """1 / (1 + exp(-x)), with exp(x) on top where x < 0, so that exp never overflows."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))
''',
    vjp=(lambda g, y, x: g * (y * sigmoid(-x)),),  # y (1 - y) cancels where y is near 1
    same_as=lambda x: 1 / (1 + exp(-x)),
    says="squeezes each value into (0, 1), to be read as a probability",
    torch="torch.sigmoid(x)", onnx="Sigmoid")

softplus = op("softplus", "x", numpy="np.logaddexp(0, x)", formula=r"\ln(1 + e^{$x})",
    dtype="inexact",
    vjp=(lambda g, y, x: g * sigmoid(x),),
    same_as=lambda x: log(1 + exp(x)),
    says="a smooth ReLU: 0 far left, x far right",
    torch="torch.nn.functional.softplus(x, threshold=40)", onnx="Softplus")

log_sigmoid = op("log_sigmoid", "x", numpy="-np.logaddexp(0, -x)", formula=r"\ln \sigma($x)",
    dtype="inexact",
    vjp=(lambda g, y, x: g * sigmoid(-x),),
    same_as=lambda x: log(sigmoid(x)),
    says="the logarithm of the sigmoid, exact for every x",
    torch="torch.nn.functional.logsigmoid(x)")

relu = op("relu", "x", numpy="np.maximum(x, 0)", formula=r"\max(0, $x)",
    vjp=(lambda g, y, x: where(x <= 0, 0, g),), hides=(lambda x: x <= 0,),
    says="keeps what is positive, and nothing else", torch="torch.relu(x)", onnx="Relu")

leaky_relu = op("leaky_relu", "x, alpha=0.01", numpy="np.where(x > 0, x, alpha * x)",
    formula=r"\operatorname{LeakyReLU}($x)",
    vjp=(lambda g, y, x, alpha: where(x > 0, g, alpha * g),),
    says="a ReLU that lets a hundredth of the negative values through, so that no unit dies",
    torch="torch.nn.functional.leaky_relu(x, alpha)", onnx="LeakyRelu",
    examples=({}, {"alpha": 0.3}))

elu = op("elu", "x, alpha=1.0", numpy="np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))",
    formula=r"\operatorname{ELU}($x)", dtype="inexact",
    vjp=(lambda g, y, x, alpha: where(x > 0, g, g * (alpha * exp(minimum(x, 0)))),),
    says="x where positive, elsewhere an exponential that levels off at -alpha",
    torch="torch.nn.functional.elu(x, alpha)", onnx="Elu", examples=({}, {"alpha": 0.5}))

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@public
def selu(x: Array) -> Any:
    """Scale an ELU so that activations keep mean 0 and variance 1 (Klambauer et al. 2017).

        selu(x) = 1.0507 · elu(x, alpha=1.6733)
    """
    return SELU_SCALE * elu(x, alpha=SELU_ALPHA)


swish = op("swish", "x", formula=r"$x \, \sigma($x)", level=2, dtype="inexact",
    numpy='''def swish(x):
    """x sigmoid(x); exp(x) comes in two halves, since a subnormal exp(x) has few digits."""
    x = np.maximum(x, -1000.0)
    half = np.exp(np.minimum(x, 0) / 2)
    return x * half / (1 + np.exp(-np.abs(x))) * half
''',
    vjp=(lambda g, y, x: g * (sigmoid(x) + swish(minimum(x, 1000.0)) * sigmoid(-x)),),
    same_as=lambda x: x * sigmoid(x),
    says="x times its own sigmoid: a ReLU with a soft corner (Ramachandran et al. 2017)",
    torch="torch.nn.functional.silu(x)", also="silu")

gelu = op("gelu", "x", formula=r"$x \, \Phi($x)", level=2, dtype="inexact",
    numpy='''def gelu(x):
    """x Phi(x), Phi the normal distribution; far from 0 as max(x, 0) - |x| Phi(-|x|)."""
    y = np.minimum(np.abs(x), 40.0)
    tail = exp_minus_square(y, 0.5) * (y * scaled_erfc(y * 0.7071067811865476) / 2)
    near = x * (0.5 + erf_series(np.clip(x, -0.7, 0.7) * 0.7071067811865476) / 2)
    return np.where(y < 0.7, near, np.maximum(x, 0) - tail)
''',
    vjp=(lambda g, y, x: g * (normal_cdf(x) + clip(x, -40.0, 40.0) * normal_pdf(x)),),
    same_as=lambda x: x * normal_cdf(x),
    says="x times the share of a normal distribution below it (Hendrycks & Gimpel 2016), exact",
    torch="torch.nn.functional.gelu(x)", onnx="Gelu")

helper('''def cos_pi(x):
    """cos(pi x), x first reduced exactly to within a half of an integer."""
    n = np.rint(x)
    return (1 - 2 * (n % 2)) * np.sin(np.pi * (0.5 - np.abs(x - n)))
''')

sinc = op("sinc", "x", formula=r"\frac{\sin \pi $x}{\pi $x}", dtype="quotient",
    numpy='''def sinc(x):
    """sin(pi x) / (pi x); x is reduced before the sine, which keeps the digits near its zeros."""
    x = np.clip(x, -(2.0**53), 2.0**53)
    n = np.rint(x)
    wave = (1 - 2 * (n % 2)) * np.sin(np.pi * (x - n))
    return np.where(x == 0, 1, wave / (np.pi * np.where(x == 0, 1, x)))
''',
    vjp=(lambda g, y, x: g * sinc_slope(x),),
    says="the wave sin(πx) / (πx), 1 at 0", torch="torch.sinc(x)")

sinc_slope = op("sinc_slope", "x", formula=r"\operatorname{sinc}'($x)", dtype="inexact",
    internal=True,
    numpy='''def sinc_slope(x):
    """(cos(pi x) - sinc(x)) / x, near 0 by its power series."""
    terms = [1.0]
    for k in range(1, 14):
        terms.append(terms[-1] * -(np.pi**2) / (2 * k * (2 * k + 1)))
    series = horner([2 * k * terms[k] for k in range(13, 0, -1)], np.minimum(x * x, 0.25))
    wide = np.clip(np.where(x == 0, 1, x), -(2.0**53), 2.0**53)
    return np.where(np.abs(x) < 0.5, x * series, (cos_pi(wide) - sinc(wide)) / wide)
''',
    vjp=(lambda g, y, x: g * _sinc_curvature(y, x),),
    says="the slope of sinc", torch="(torch.cos(torch.pi * x) - torch.sinc(x)) / x",
    domain=((0.6, 2.5),))


def _sinc_curvature(y: Node, x: Node) -> Node:
    """From (x sinc)'' = -π² x sinc:  sinc'' = -π² sinc - 2 sinc'/x, with its limit -π²/3 at 0."""
    at_zero = absolute(x) < 1e-10  # there the limit is exact, and a subnormal y has few digits
    safe = where(at_zero, 1.0, x)
    return where(at_zero, -(math.pi**2) / 3, -(math.pi**2) * sinc(x) - 2 * y / safe)
