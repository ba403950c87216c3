"""Mathematics for compiled loops: scalar functions that a generated program takes in as text.

A loop over `kernel` functions becomes vector instructions, where a call of the C library stays one
call per element: they have no branches, only selections, tables only of coefficients, and views of
a float's bits as an integer. Each is written for one precision, 32 or 64 bits, and stays in it.
NaN goes through every selection: a comparison with NaN is false and must then choose the NaN.
The largest errors are stated in ulp, units in the last place of the result; the sign of a zero
result is not promised.

Nothing here may refer to anything but `np` and other functions of this file.
"""

from typing import TypeVar

import numpy as np

Function = TypeVar("Function")


def kernel(function: Function) -> Function:
    """Mark mathematics: compiled with contraction and unsigned zeros, and inlined."""
    return function


def exact(function: Function) -> Function:
    """Mark what fast arithmetic would break: guards and random numbers, compiled without it."""
    return function


@kernel
def two_to32(n: np.uint32) -> np.float32:
    """2^n for an n in two's complement of which only the low bits count, where it is normal."""
    return np.uint32((n << np.uint32(23)) + np.uint32(0x3F800000)).view(np.float32)


@kernel
def two_to64(n: np.uint64) -> np.float64:
    """2^n for an n in two's complement of which only the low bits count, where it is normal."""
    return np.uint64((n << np.uint64(52)) + np.uint64(0x3FF0000000000000)).view(np.float64)


@kernel
def scaled32(p: np.float32, rounded: np.float32) -> np.float32:
    """p 2^k for rounded = k + 1.5 2^23, whose low bits are k; in two steps, for 2^k may overflow.

    The second step alone rounds, and does so only where the result is subnormal.
    """
    k = np.float32(rounded).view(np.uint32)
    half = np.uint32(k >> np.uint32(1))
    return p * two_to32(half) * two_to32(np.uint32(k - half))


@kernel
def scaled64(p: np.float64, rounded: np.float64) -> np.float64:
    """p 2^k for rounded = k + 1.5 2^52, whose low bits are k; in two steps, for 2^k may overflow.

    The second step alone rounds, and does so only where the result is subnormal.
    """
    k = np.float64(rounded).view(np.uint64)
    half = np.uint64(k >> np.uint64(1))
    return p * two_to64(half) * two_to64(np.uint64(k - half))


@kernel
def exp_tail32(r: np.float32) -> np.float32:
    """exp(r) - 1 - r for |r| <= log(2)/2, by a minimax polynomial."""
    p = np.float32(0.00139360037)
    p = p * r + np.float32(0.00836676452)
    p = p * r + np.float32(0.0416664556)
    p = p * r + np.float32(0.16666542)
    p = p * r + np.float32(0.5)
    return r * r * p


@kernel
def exp_tail64(r: np.float64) -> np.float64:
    """exp(r) - 1 - r for |r| <= log(2)/2, by a minimax polynomial."""
    p = np.float64(2.092258911016274e-09)
    p = p * r + np.float64(2.5109483494120814e-08)
    p = p * r + np.float64(2.755724957735087e-07)
    p = p * r + np.float64(2.7557243076333925e-06)
    p = p * r + np.float64(2.4801587351191675e-05)
    p = p * r + np.float64(0.00019841269887085534)
    p = p * r + np.float64(0.0013888888888872713)
    p = p * r + np.float64(0.008333333333321327)
    p = p * r + np.float64(0.041666666666666685)
    p = p * r + np.float64(0.16666666666666677)
    p = p * r + np.float64(0.5)
    return r * r * p


@kernel
def exp32(x: np.float32) -> np.float32:
    """exp(x), within 1.1 ulp."""
    x = np.float32(89.0) if x > np.float32(89.0) else x
    x = np.float32(-104.0) if x < np.float32(-104.0) else x
    rounded = x * np.float32(1.44269502) + np.float32(12582912.0)
    k = rounded - np.float32(12582912.0)
    r = (x - k * np.float32(0.693359375)) - k * np.float32(-0.000212194442)
    return scaled32(np.float32(1.0) + (r + exp_tail32(r)), rounded)


@kernel
def exp64(x: np.float64) -> np.float64:
    """exp(x), within 1.1 ulp."""
    x = np.float64(710.0) if x > np.float64(710.0) else x
    x = np.float64(-746.0) if x < np.float64(-746.0) else x
    rounded = x * np.float64(1.4426950408889634) + np.float64(6755399441055744.0)
    k = rounded - np.float64(6755399441055744.0)
    r = (x - k * np.float64(0.6931471803691238)) - k * np.float64(1.9082149292705877e-10)
    return scaled64(np.float64(1.0) + (r + exp_tail64(r)), rounded)


@kernel
def half_expm132(x: np.float32) -> np.float32:
    """(exp(x) - 1) / 2, which does not overflow before exp(x) does, within 1.2 ulp where normal.

    With x = k log(2) + r + rest and s = 2^(k-1):  s r + (s - 1/2)  and, apart, what rounding took.
    """
    x = np.float32(89.0) if x > np.float32(89.0) else x
    x = np.float32(-40.0) if x < np.float32(-40.0) else x
    rounded = x * np.float32(1.44269502) + np.float32(12582912.0)
    k = rounded - np.float32(12582912.0)
    high = x - k * np.float32(0.693359375)
    low = k * np.float32(-0.000212194442)
    r = high - low
    rest = (high - r) - low
    s = two_to32(np.uint32(np.float32(rounded).view(np.uint32) - np.uint32(1)))
    shift = s - np.float32(0.5)
    leading = s * r + shift
    lost = s * r - (leading - shift)
    return leading + (s * (exp_tail32(r) + rest) + lost)


@kernel
def half_expm164(x: np.float64) -> np.float64:
    """(exp(x) - 1) / 2, which does not overflow before exp(x) does, within 1.2 ulp where normal.

    With x = k log(2) + r + rest and s = 2^(k-1):  s r + (s - 1/2)  and, apart, what rounding took.
    """
    x = np.float64(710.0) if x > np.float64(710.0) else x
    x = np.float64(-60.0) if x < np.float64(-60.0) else x
    rounded = x * np.float64(1.4426950408889634) + np.float64(6755399441055744.0)
    k = rounded - np.float64(6755399441055744.0)
    high = x - k * np.float64(0.6931471803691238)
    low = k * np.float64(1.9082149292705877e-10)
    r = high - low
    rest = (high - r) - low
    s = two_to64(np.uint64(np.float64(rounded).view(np.uint64) - np.uint64(1)))
    shift = s - np.float64(0.5)
    leading = s * r + shift
    lost = s * r - (leading - shift)
    return leading + (s * (exp_tail64(r) + rest) + lost)


@kernel
def expm132(x: np.float32) -> np.float32:
    """exp(x) - 1, within 1.2 ulp."""
    y = np.float32(2.0) * half_expm132(x)
    return x if abs(x) < np.float32(1e-08) else y


@kernel
def expm164(x: np.float64) -> np.float64:
    """exp(x) - 1, within 1.2 ulp."""
    y = np.float64(2.0) * half_expm164(x)
    return x if abs(x) < np.float64(1e-17) else y


@kernel
def exp232(x: np.float32) -> np.float32:
    """2^x, within 1.1 ulp."""
    x = np.float32(129.0) if x > np.float32(129.0) else x
    x = np.float32(-151.0) if x < np.float32(-151.0) else x
    rounded = x + np.float32(12582912.0)
    r = x - (rounded - np.float32(12582912.0))
    p = np.float32(0.000154584035)
    p = p * r + np.float32(0.00133903709)
    p = p * r + np.float32(0.00961807277)
    p = p * r + np.float32(0.055503618)
    p = p * r + np.float32(0.240226507)
    return scaled32(np.float32(1.0) + (r * np.float32(0.693147181) + r * r * p), rounded)


@kernel
def exp264(x: np.float64) -> np.float64:
    """2^x, within 1.1 ulp."""
    x = np.float64(1025.0) if x > np.float64(1025.0) else x
    x = np.float64(-1076.0) if x < np.float64(-1076.0) else x
    rounded = x + np.float64(6755399441055744.0)
    r = x - (rounded - np.float64(6755399441055744.0))
    p = np.float64(2.55112548133718e-11)
    p = p * r + np.float64(4.4562451120673475e-10)
    p = p * r + np.float64(7.055068203106349e-09)
    p = p * r + np.float64(1.0178054386853955e-07)
    p = p * r + np.float64(1.3215486302327606e-06)
    p = p * r + np.float64(1.5252733847473688e-05)
    p = p * r + np.float64(0.0001540353039406852)
    p = p * r + np.float64(0.0013333558146401405)
    p = p * r + np.float64(0.009618129107628043)
    p = p * r + np.float64(0.05550410866482164)
    p = p * r + np.float64(0.24022650695910072)
    return scaled64(np.float64(1.0) + (r * np.float64(0.6931471805599453) + r * r * p), rounded)


@kernel
def log_tail32(f: np.float32) -> np.float32:
    """f - log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2), by a minimax polynomial."""
    p = np.float32(0.0779349953)
    p = p * f + np.float32(-0.130009457)
    p = p * f + np.float32(0.132199094)
    p = p * f + np.float32(-0.141646251)
    p = p * f + np.float32(0.166097552)
    p = p * f + np.float32(-0.200029194)
    p = p * f + np.float32(0.250015914)
    p = p * f + np.float32(-0.333333105)
    p = p * f + np.float32(0.499999881)
    return f * f * p


@kernel
def log_tail64(f: np.float64) -> np.float64:
    """f - log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2), by a minimax polynomial."""
    square = f * f
    even = np.float64(0.061021454897774115)
    even = even * square + np.float64(0.05645208006455135)
    even = even * square + np.float64(0.06198736258909501)
    even = even * square + np.float64(0.07149671545757609)
    even = even * square + np.float64(0.08332869090817746)
    even = even * square + np.float64(0.10000018181657214)
    even = even * square + np.float64(0.1249999958932486)
    even = even * square + np.float64(0.16666666671665925)
    even = even * square + np.float64(0.2499999999997236)
    even = even * square + np.float64(0.5000000000000004)
    odd = np.float64(-0.026947016373780455)
    odd = odd * square + np.float64(-0.06537992999635134)
    odd = odd * square + np.float64(-0.05648730483210286)
    odd = odd * square + np.float64(-0.06687990820761819)
    odd = odd * square + np.float64(-0.07691233701929497)
    odd = odd * square + np.float64(-0.090909383560479)
    odd = odd * square + np.float64(-0.1111111075225158)
    odd = odd * square + np.float64(-0.1428571428577202)
    odd = odd * square + np.float64(-0.2000000000003141)
    odd = odd * square + np.float64(-0.3333333333333319)
    p = even + f * odd
    return f * f * p


@kernel
def exponent32(x: np.float32) -> np.uint32:
    """k + 127 for the k with sqrt(1/2) <= x 2^-k < sqrt(2), where x is positive and normal."""
    return np.uint32(
        np.uint32(np.float32(x).view(np.uint32) + np.uint32(0x004AFB0D)) >> np.uint32(23)
    )


@kernel
def exponent64(x: np.float64) -> np.uint64:
    """k + 1023 for the k with sqrt(1/2) <= x 2^-k < sqrt(2), where x is positive and normal."""
    return np.uint64(
        np.uint64(np.float64(x).view(np.uint64) + np.uint64(0x00095F619980C433)) >> np.uint64(52)
    )


@kernel
def whole32(e: np.uint32) -> np.float32:
    """k as a number, for e = exponent32(x)."""
    return np.uint32(e | np.uint32(0x4B000000)).view(np.float32) - np.float32(8388735.0)


@kernel
def whole64(e: np.uint64) -> np.float64:
    """k as a number, for e = exponent64(x)."""
    return np.uint64(e | np.uint64(0x4330000000000000)).view(np.float64) - np.float64(
        4503599627371519.0
    )


@kernel
def fraction32(x: np.float32, e: np.uint32) -> np.float32:
    """x 2^-k - 1, which is exact, for e = exponent32(x)."""
    return np.uint32(
        np.float32(x).view(np.uint32) - np.uint32(e << np.uint32(23)) + np.uint32(0x3F800000)
    ).view(np.float32) - np.float32(1.0)


@kernel
def fraction64(x: np.float64, e: np.uint64) -> np.float64:
    """x 2^-k - 1, which is exact, for e = exponent64(x)."""
    return np.uint64(
        np.float64(x).view(np.uint64)
        - np.uint64(e << np.uint64(52))
        + np.uint64(0x3FF0000000000000)
    ).view(np.float64) - np.float64(1.0)


@kernel
def log_parts32(x: np.float32) -> tuple[np.float32, np.float32]:
    """k and f of x = 2^k (1 + f), where subnormals are scaled up first."""
    small = x < np.float32(1.17549435e-38)
    y = x * np.float32(33554432.0) if small else x
    e = exponent32(y)
    f = fraction32(y, e)
    k = whole32(e) - (np.float32(25.0) if small else np.float32(0.0))
    return k, f


@kernel
def log_edge32(value: np.float32, x: np.float32) -> np.float32:
    """The value of a logarithm of x, but infinite at 0 and infinity, and NaN for x < 0 or NaN."""
    value = value if x < np.float32(np.inf) else x
    edge = np.float32(-np.inf) if x == np.float32(0.0) else np.float32(np.nan)
    return value if x > np.float32(0.0) else edge


@kernel
def log_parts64(x: np.float64) -> tuple[np.float64, np.float64]:
    """k and f of x = 2^k (1 + f), where subnormals are scaled up first."""
    small = x < np.float64(2.2250738585072014e-308)
    y = x * np.float64(18014398509481984.0) if small else x
    e = exponent64(y)
    f = fraction64(y, e)
    k = whole64(e) - (np.float64(54.0) if small else np.float64(0.0))
    return k, f


@kernel
def log_edge64(value: np.float64, x: np.float64) -> np.float64:
    """The value of a logarithm of x, but infinite at 0 and infinity, and NaN for x < 0 or NaN."""
    value = value if x < np.float64(np.inf) else x
    edge = np.float64(-np.inf) if x == np.float64(0.0) else np.float64(np.nan)
    return value if x > np.float64(0.0) else edge


@kernel
def log32(x: np.float32) -> np.float32:
    """log(x), within 1.2 ulp."""
    k, f = log_parts32(x)
    value = k * np.float32(0.693359375) + (f - (log_tail32(f) - k * np.float32(-0.000212194442)))
    return log_edge32(value, x)


@kernel
def log64(x: np.float64) -> np.float64:
    """log(x), within 1.2 ulp."""
    k, f = log_parts64(x)
    value = k * np.float64(0.6931471803691238) + (
        f - (log_tail64(f) - k * np.float64(1.9082149292705877e-10))
    )
    return log_edge64(value, x)


@kernel
def log232(x: np.float32) -> np.float32:
    """log(x)/log(2), exact at powers of 2, within 1.6 ulp."""
    k, f = log_parts32(x)
    low = f * np.float32(1.92596303e-08) - log_tail32(f) * np.float32(1.44269502)
    return log_edge32(k + (f * np.float32(1.44269502) + low), x)


@kernel
def log264(x: np.float64) -> np.float64:
    """log(x)/log(2), exact at powers of 2, within 1.6 ulp."""
    k, f = log_parts64(x)
    low = f * np.float64(2.0355273740931033e-17) - log_tail64(f) * np.float64(1.4426950408889634)
    return log_edge64(k + (f * np.float64(1.4426950408889634) + low), x)


@kernel
def log1032(x: np.float32) -> np.float32:
    """log(x)/log(10), within 1.3 ulp."""
    k, f = log_parts32(x)
    low = f * np.float32(-1.010305e-08) - log_tail32(f) * np.float32(0.434294492)
    low = f * np.float32(0.434294492) + (low + k * np.float32(4.60503907e-06))
    return log_edge32(k * np.float32(0.301025391) + low, x)


@kernel
def log1064(x: np.float64) -> np.float64:
    """log(x)/log(10), within 1.3 ulp."""
    k, f = log_parts64(x)
    low = f * np.float64(1.098319650216765e-17) - log_tail64(f) * np.float64(0.4342944819032518)
    low = f * np.float64(0.4342944819032518) + (low + k * np.float64(3.694239077158931e-13))
    return log_edge64(k * np.float64(0.30102999566361177) + low, x)


@kernel
def log_one_plus32(x: np.float32) -> np.float32:
    """log(1 + x) for -1 < x < infinity, within 1.2 ulp.

    With u = 1 + x as rounded:  log(u) + (x - (u - 1))/u, but where k = 0 exactly f = x.
    """
    u = np.float32(1.0) + x
    e = exponent32(u)
    k = whole32(e)
    near = k == np.float32(0.0)
    far = abs(k) > np.float32(60.0)  # where u - 1 is x, and 2^-k may be out of range
    f = fraction32(u, e)
    shrink = np.uint32(np.uint32(0x7F000000) - np.uint32(e << np.uint32(23))).view(
        np.float32
    )  # 2^-k
    lost = (x - (u - np.float32(1.0))) * shrink
    lost -= lost * (f - f * f)  # over 1 + f, nearly
    f = x if near else f
    lost = np.float32(0.0) if near | far else lost
    return k * np.float32(0.693359375) + (
        f - (log_tail32(f) - (lost + k * np.float32(-0.000212194442)))
    )


@kernel
def log_one_plus64(x: np.float64) -> np.float64:
    """log(1 + x) for -1 < x < infinity, within 1.2 ulp.

    With u = 1 + x as rounded:  log(u) + (x - (u - 1))/u, but where k = 0 exactly f = x.
    """
    u = np.float64(1.0) + x
    e = exponent64(u)
    k = whole64(e)
    near = k == np.float64(0.0)
    far = abs(k) > np.float64(60.0)  # where u - 1 is x, and 2^-k may be out of range
    f = fraction64(u, e)
    shrink = np.uint64(np.uint64(0x7FE0000000000000) - np.uint64(e << np.uint64(52))).view(
        np.float64
    )  # 2^-k
    lost = (x - (u - np.float64(1.0))) * shrink
    lost -= lost * (f - f * f)  # over 1 + f, nearly
    f = x if near else f
    lost = np.float64(0.0) if near | far else lost
    return k * np.float64(0.6931471803691238) + (
        f - (log_tail64(f) - (lost + k * np.float64(1.9082149292705877e-10)))
    )


@kernel
def log1p32(x: np.float32) -> np.float32:
    """log(1 + x), within 1.2 ulp."""
    return log_edge32(log_one_plus32(x), np.float32(1.0) + x)


@kernel
def log1p64(x: np.float64) -> np.float64:
    """log(1 + x), within 1.2 ulp."""
    return log_edge64(log_one_plus64(x), np.float64(1.0) + x)


@kernel
def logaddexp32(x: np.float32, y: np.float32) -> np.float32:
    """log(exp(x) + exp(y)), within 3 ulp of the largest of |x|, |y| and the result.

    Where x or y is 0, as in softplus, within 2 ulp of the result itself.
    """
    larger = x if x > y else y
    apart = abs(x - y)
    apart = np.float32(0.0) if x == y else apart  # infinities also
    z = exp32(-apart)
    halve = z > np.float32(0.41421356)  # then 1 + z = 2 (1 + f), where no digit is lost
    f = np.float32(0.5) * z - np.float32(0.5)
    f = f if halve else z
    high = np.float32(0.693359375) if halve else np.float32(0.0)
    low = np.float32(-0.000212194442) if halve else np.float32(0.0)
    return larger + (high + (f - (log_tail32(f) - low)))


@kernel
def logaddexp64(x: np.float64, y: np.float64) -> np.float64:
    """log(exp(x) + exp(y)), within 3 ulp of the largest of |x|, |y| and the result.

    Where x or y is 0, as in softplus, within 2 ulp of the result itself.
    """
    larger = x if x > y else y
    apart = abs(x - y)
    apart = np.float64(0.0) if x == y else apart  # infinities also
    z = exp64(-apart)
    halve = z > np.float64(0.41421356)  # then 1 + z = 2 (1 + f), where no digit is lost
    f = np.float64(0.5) * z - np.float64(0.5)
    f = f if halve else z
    high = np.float64(0.6931471803691238) if halve else np.float64(0.0)
    low = np.float64(1.9082149292705877e-10) if halve else np.float64(0.0)
    return larger + (high + (f - (log_tail64(f) - low)))


@kernel
def tanh_near32(x: np.float32) -> np.float32:
    """tanh(x) for |x| <= 0.55, by a minimax polynomial, within 1 ulp."""
    s = x * x
    p = np.float32(-0.00629879395)
    p = p * s + np.float32(0.0210904088)
    p = p * s + np.float32(-0.0538572967)
    p = p * s + np.float32(0.133326396)
    p = p * s + np.float32(-0.333333194)
    return x + x * (s * p)


@kernel
def tanh_near64(x: np.float64) -> np.float64:
    """tanh(x) for |x| <= 0.55, by a minimax polynomial, within 1 ulp."""
    s = x * x
    p = np.float64(5.108661810480655e-05)
    p = p * s + np.float64(-0.00021040164198805482)
    p = p * s + np.float64(0.0005792012208564618)
    p = p * s + np.float64(-0.0014532397247804974)
    p = p * s + np.float64(0.003591724653029388)
    p = p * s + np.float64(-0.008863195163677172)
    p = p * s + np.float64(0.021869486027928185)
    p = p * s + np.float64(-0.053968253878505845)
    p = p * s + np.float64(0.1333333333317415)
    p = p * s + np.float64(-0.33333333333332354)
    return x + x * (s * p)


@kernel
def tanh32(x: np.float32) -> np.float32:
    """tanh(x), within 1.7 ulp:  1 - 2/(exp(2|x|) + 1) with the sign of x; near 0 a polynomial."""
    size = abs(x)
    far = np.float32(1.0) - np.float32(2.0) / (exp32(np.float32(2.0) * size) + np.float32(1.0))
    far = -far if x < np.float32(0.0) else far
    near = tanh_near32(x)
    return near if size < np.float32(0.55) else far


@kernel
def tanh64(x: np.float64) -> np.float64:
    """tanh(x), within 1.7 ulp:  1 - 2/(exp(2|x|) + 1) with the sign of x; near 0 a polynomial."""
    size = abs(x)
    far = np.float64(1.0) - np.float64(2.0) / (exp64(np.float64(2.0) * size) + np.float64(1.0))
    far = -far if x < np.float64(0.0) else far
    near = tanh_near64(x)
    return near if size < np.float64(0.55) else far


@kernel
def sigmoid32(x: np.float32) -> np.float32:
    """1 / (1 + exp(-x)), within 1.9 ulp also where it is tiny.

    With exp(-x) = 2^k (1 + q), t = 2^-|k|:  t / (1 + t + q), for k < 0:  1 / (1 + t (1 + q)).
    Every step rounds once and rises or falls with x, so the whole is monotone.
    """
    y = -x
    y = np.float32(104.0) if y > np.float32(104.0) else y
    y = np.float32(-104.0) if y < np.float32(-104.0) else y
    rounded = y * np.float32(1.44269502) + np.float32(12582912.0)
    k = rounded - np.float32(12582912.0)
    r = (y - k * np.float32(0.693359375)) - k * np.float32(-0.000212194442)
    q = r + exp_tail32(r)
    n = np.float32(np.float32(12582912.0) - abs(k)).view(np.uint32)  # its low bits are -|k|
    half = np.uint32(np.int32(np.int32(n - np.uint32(0x4B400000)) >> np.int32(1)))
    a = two_to32(half)
    b = two_to32(np.uint32(n - half))
    t = a * b
    above = np.float32(1.0) + t * (np.float32(1.0) + q)
    late = np.float32(1.0) + (t + q)  # 1 + t is rounded where t is small, t + q where it is not
    early = (np.float32(1.0) + t) + q
    below = late if t < np.float32(0.001) else early
    w = np.float32(1.0) / (above if k < np.float32(0.0) else below)
    low = w * a * b  # in two steps, for t may be 0 where the result is subnormal
    return w if k < np.float32(0.0) else low


@kernel
def sigmoid64(x: np.float64) -> np.float64:
    """1 / (1 + exp(-x)), within 1.9 ulp also where it is tiny.

    With exp(-x) = 2^k (1 + q), t = 2^-|k|:  t / (1 + t + q), for k < 0:  1 / (1 + t (1 + q)).
    Every step rounds once and rises or falls with x, so the whole is monotone.
    """
    y = -x
    y = np.float64(746.0) if y > np.float64(746.0) else y
    y = np.float64(-746.0) if y < np.float64(-746.0) else y
    rounded = y * np.float64(1.4426950408889634) + np.float64(6755399441055744.0)
    k = rounded - np.float64(6755399441055744.0)
    r = (y - k * np.float64(0.6931471803691238)) - k * np.float64(1.9082149292705877e-10)
    q = r + exp_tail64(r)
    n = np.float64(np.float64(6755399441055744.0) - abs(k)).view(np.uint64)  # its low bits are -|k|
    half = np.uint64(np.int64(np.int64(n - np.uint64(0x4338000000000000)) >> np.int64(1)))
    a = two_to64(half)
    b = two_to64(np.uint64(n - half))
    t = a * b
    above = np.float64(1.0) + t * (np.float64(1.0) + q)
    late = np.float64(1.0) + (t + q)  # 1 + t is rounded where t is small, t + q where it is not
    early = (np.float64(1.0) + t) + q
    below = late if t < np.float64(0.001) else early
    w = np.float64(1.0) / (above if k < np.float64(0.0) else below)
    low = w * a * b  # in two steps, for t may be 0 where the result is subnormal
    return w if k < np.float64(0.0) else low


@kernel
def bell32(x: np.float32, scale: np.float32, factor: np.float32) -> np.float32:
    """factor exp(-scale x^2) for a scale of 1 or 1/2, 0 <= x and -exponent up to 112.

    Rounding x^2 would cost digits: x = head + rest, with a head so short that its square is exact.
    The factor comes in before 2^k, so that a subnormal result is rounded once.
    """
    rounded = np.float32(12582912.0) - scale * x * x * np.float32(1.44269502)
    k = rounded - np.float32(12582912.0)
    head = np.uint32(np.float32(x).view(np.uint32) & np.uint32(0xFFFFF000)).view(np.float32)
    high = -scale * head * head - k * np.float32(0.693359375)
    r = (high - k * np.float32(-0.000212194442)) - scale * (x - head) * (x + head)
    return scaled32((np.float32(1.0) + (r + exp_tail32(r))) * factor, rounded)


@kernel
def bell64(x: np.float64, scale: np.float64, factor: np.float64) -> np.float64:
    """factor exp(-scale x^2) for a scale of 1 or 1/2, 0 <= x and -exponent up to 760.

    Rounding x^2 would cost digits: x = head + rest, with a head so short that its square is exact.
    The factor comes in before 2^k, so that a subnormal result is rounded once.
    """
    rounded = np.float64(6755399441055744.0) - scale * x * x * np.float64(1.4426950408889634)
    k = rounded - np.float64(6755399441055744.0)
    head = np.uint64(np.float64(x).view(np.uint64) & np.uint64(0xFFFFFFFFF8000000)).view(np.float64)
    high = -scale * head * head - k * np.float64(0.6931471803691238)
    r = (high - k * np.float64(1.9082149292705877e-10)) - scale * (x - head) * (x + head)
    return scaled64((np.float64(1.0) + (r + exp_tail64(r))) * factor, rounded)


@kernel
def scaled_erfc32(y: np.float32) -> np.float32:
    """exp(y^2) erfc(y) for 0 <= y: a minimax polynomial in q = (y - c)/(y + c), over 1 + 2y.

    After Shepherd & Laframboise, Math. Comp. 36 (1981) 249-253, with c = 2.
    """
    q = np.float32(2.0) * (y / (y + np.float32(2.0))) - np.float32(1.0)
    p = np.float32(2.73994556e-05)
    p = p * q + np.float32(-0.000367982662)
    p = p * q + np.float32(-0.00126038678)
    p = p * q + np.float32(0.00127653009)
    p = p * q + np.float32(0.00864622276)
    p = p * q + np.float32(-0.00804538094)
    p = p * q + np.float32(-0.0542082377)
    p = p * q + np.float32(0.164053187)
    p = p * q + np.float32(-0.166030899)
    p = p * q + np.float32(-0.0927638933)
    p = p * q + np.float32(1.27697837)
    return p / (np.float32(1.0) + np.float32(2.0) * y)


@kernel
def scaled_erfc64(y: np.float64) -> np.float64:
    """exp(y^2) erfc(y) for 0 <= y: a minimax polynomial in q = (y - c)/(y + c), over 1 + 2y.

    After Shepherd & Laframboise, Math. Comp. 36 (1981) 249-253, with c = 4.
    """
    q = np.float64(2.0) * (y / (y + np.float64(4.0))) - np.float64(1.0)
    square = q * q
    even = np.float64(-8.090792846054399e-09)
    even = even * square + np.float64(5.539096969817959e-08)
    even = even * square + np.float64(3.135392844255505e-07)
    even = even * square + np.float64(-1.1234092257765309e-05)
    even = even * square + np.float64(0.00015062631195225166)
    even = even * square + np.float64(-0.0007577744217111256)
    even = even * square + np.float64(-0.01619773388535049)
    even = even * square + np.float64(-0.06633036582762394)
    even = even * square + np.float64(-0.10103906603558852)
    even = even * square + np.float64(0.015379652102606417)
    even = even * square + np.float64(1.2329951186255526)
    odd = np.float64(-8.413131728718954e-09)
    odd = odd * square + np.float64(1.0164192630479455e-07)
    odd = odd * square + np.float64(-8.20372585532204e-07)
    odd = odd * square + np.float64(5.709436038357916e-06)
    odd = odd * square + np.float64(-2.440048453539152e-05)
    odd = odd * square + np.float64(-0.00019925594037573715)
    odd = odd * square + np.float64(0.0050319697718418975)
    odd = odd * square + np.float64(0.03716751556757289)
    odd = odd * square + np.float64(0.0937328349960852)
    odd = odd * square + np.float64(0.06809705425476757)
    odd = odd * square + np.float64(-0.13962111684056322)
    p = even + q * odd
    return p / (np.float64(1.0) + np.float64(2.0) * y)


@kernel
def erf_near32(x: np.float32) -> np.float32:
    """erf(x) for |x| <= 0.7, by a minimax polynomial, within 1 ulp."""
    s = x * x
    p = np.float32(-0.000697311305)
    p = p * s + np.float32(0.00514102029)
    p = p * s + np.float32(-0.026845647)
    p = p * s + np.float32(0.112835594)
    p = p * s + np.float32(-0.376126289)
    p = p * s + np.float32(0.128379166)
    return x + x * p


@kernel
def erf_near64(x: np.float64) -> np.float64:
    """erf(x) for |x| <= 0.7, by a minimax polynomial, within 1 ulp."""
    s = x * x
    p = np.float64(1.264318628600139e-08)
    p = p * s + np.float64(-1.6238422909185764e-07)
    p = p * s + np.float64(1.6463179416261354e-06)
    p = p * s + np.float64(-1.4926170255556705e-05)
    p = p * s + np.float64(0.0001205536277425158)
    p = p * s + np.float64(-0.0008548327894163566)
    p = p * s + np.float64(0.005223977640161082)
    p = p * s + np.float64(-0.026866170646568533)
    p = p * s + np.float64(0.11283791670962667)
    p = p * s + np.float64(-0.3761263890318393)
    p = p * s + np.float64(0.1283791670955126)
    return x + x * p


@kernel
def erf_far32(y: np.float32) -> np.float32:
    """1 - erf(y) for y >= 0.7, until it is 0, within 4 ulp."""
    y = np.float32(10.5) if y > np.float32(10.5) else y
    return bell32(y, np.float32(1.0), scaled_erfc32(y))


@kernel
def erf_far64(y: np.float64) -> np.float64:
    """1 - erf(y) for y >= 0.7, until it is 0, within 4 ulp."""
    y = np.float64(27.5) if y > np.float64(27.5) else y
    return bell64(y, np.float64(1.0), scaled_erfc64(y))


@kernel
def erf32(x: np.float32) -> np.float32:
    """The error function, within 2 ulp."""
    far = np.float32(1.0) - erf_far32(abs(x))
    far = -far if x < np.float32(0.0) else far
    near = erf_near32(x)
    return near if abs(x) < np.float32(0.7) else far


@kernel
def erf64(x: np.float64) -> np.float64:
    """The error function, within 2 ulp."""
    far = np.float64(1.0) - erf_far64(abs(x))
    far = -far if x < np.float64(0.0) else far
    near = erf_near64(x)
    return near if abs(x) < np.float64(0.7) else far


@kernel
def erfc32(x: np.float32) -> np.float32:
    """1 - erf(x), within 4 ulp also where it is tiny."""
    tail = erf_far32(abs(x))
    other = np.float32(2.0) - tail
    far = other if x < np.float32(0.0) else tail
    near = np.float32(1.0) - erf_near32(x)
    return near if abs(x) < np.float32(0.7) else far


@kernel
def erfc64(x: np.float64) -> np.float64:
    """1 - erf(x), within 4 ulp also where it is tiny."""
    tail = erf_far64(abs(x))
    other = np.float64(2.0) - tail
    far = other if x < np.float64(0.0) else tail
    near = np.float64(1.0) - erf_near64(x)
    return near if abs(x) < np.float64(0.7) else far


@kernel
def normal_tail32(y: np.float32, factor: np.float32) -> np.float32:
    """factor times the normal distribution above y >= 0.98, until it is 0, within 5 ulp."""
    y = np.float32(14.5) if y > np.float32(14.5) else y
    factor *= np.float32(0.5) * scaled_erfc32(y * np.float32(0.707106781))
    return bell32(y, np.float32(0.5), factor)


@kernel
def normal_tail64(y: np.float64, factor: np.float64) -> np.float64:
    """factor times the normal distribution above y >= 0.98, until it is 0, within 5 ulp."""
    y = np.float64(39.0) if y > np.float64(39.0) else y
    factor *= np.float64(0.5) * scaled_erfc64(y * np.float64(0.7071067811865476))
    return bell64(y, np.float64(0.5), factor)


@kernel
def normal_near32(x: np.float32) -> np.float32:
    """The standard normal distribution below x for |x| <= 0.98, within 1 ulp."""
    return np.float32(0.5) + np.float32(0.5) * erf_near32(x * np.float32(0.707106781))


@kernel
def normal_near64(x: np.float64) -> np.float64:
    """The standard normal distribution below x for |x| <= 0.98, within 1 ulp."""
    return np.float64(0.5) + np.float64(0.5) * erf_near64(x * np.float64(0.7071067811865476))


@kernel
def normal_cdf32(x: np.float32) -> np.float32:
    """The standard normal distribution below x, within 5 ulp also where it is tiny."""
    tail = normal_tail32(abs(x), np.float32(1.0))
    other = np.float32(1.0) - tail
    far = tail if x < np.float32(0.0) else other
    near = normal_near32(x)
    return near if abs(x) < np.float32(0.98) else far


@kernel
def normal_cdf64(x: np.float64) -> np.float64:
    """The standard normal distribution below x, within 5 ulp also where it is tiny."""
    tail = normal_tail64(abs(x), np.float64(1.0))
    other = np.float64(1.0) - tail
    far = tail if x < np.float64(0.0) else other
    near = normal_near64(x)
    return near if abs(x) < np.float64(0.98) else far


@kernel
def gelu32(x: np.float32) -> np.float32:
    """x normal_cdf(x), within 5 ulp also where it is tiny."""
    y = abs(x)
    y = np.float32(14.5) if y > np.float32(14.5) else y
    tail = normal_tail32(y, y if x < np.float32(0.0) else np.float32(1.0))
    other = x * (np.float32(1.0) - tail)
    far = -tail if x < np.float32(0.0) else other
    near = x * normal_near32(x)
    return near if abs(x) < np.float32(0.98) else far


@kernel
def gelu64(x: np.float64) -> np.float64:
    """x normal_cdf(x), within 5 ulp also where it is tiny."""
    y = abs(x)
    y = np.float64(39.0) if y > np.float64(39.0) else y
    tail = normal_tail64(y, y if x < np.float64(0.0) else np.float64(1.0))
    other = x * (np.float64(1.0) - tail)
    far = -tail if x < np.float64(0.0) else other
    near = x * normal_near64(x)
    return near if abs(x) < np.float64(0.98) else far


@exact
def finite(x: np.floating) -> bool:
    """Whether x is neither NaN nor infinite."""
    return bool(x - x == 0)


@exact
def mix(bits: np.uint64) -> np.uint64:
    """The finalizer of splitmix64, as `rng` has it: one word of 64 bits to another.

    Every number here is unsigned, for Numba makes a float of signed and unsigned together.
    """
    bits = np.uint64(bits)
    bits = np.uint64((bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    bits = np.uint64((bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return np.uint64(bits ^ (bits >> np.uint64(31)))


@exact
def absorb(state: np.uint64, step: int) -> np.uint64:
    """The key after one more step, 0 <= step < 2^63, as `rng.key` takes it in."""
    gamma = np.uint64(0x9E3779B97F4A7C15)
    state = mix(np.uint64(np.uint64(state) + gamma))  # once: such a step has one limb
    return mix(np.uint64((state ^ np.uint64(step)) + gamma))


@exact
def word(key: np.uint64, k: int) -> np.uint64:
    """Word k of the stream of a key, as `rng.words` numbers them."""
    count = np.uint64(np.uint64(k) + np.uint64(1))
    return mix(np.uint64(np.uint64(key) + count * np.uint64(0x9E3779B97F4A7C15)))


@exact
def unit(bits: np.uint64) -> np.float64:
    """A word as a multiple of 2^-53 in [0, 1), as `rng.uniform` makes it."""
    high = np.int64(np.uint64(bits) >> np.uint64(11))  # signed: faster to convert, and it fits
    return np.float64(high) * np.float64(1.1102230246251565e-16)


@exact
def minus_log(w: np.float64) -> np.float64:
    """-ln(w) for 2^-53 <= w <= 1, within 3e-16 or 2 ulp, by a series in (m - √2) / (m + √2).

    It has +, -, ×, / and views of bits alone, which give the same in compiled code and in NumPy's
    arrays; so has `bell`.
    """
    bits = np.float64(w).view(np.uint64)
    exponent = np.float64(np.int64(bits >> np.uint64(52))) - np.float64(1022.5)
    m = np.uint64((bits & np.uint64(0xFFFFFFFFFFFFF)) | np.uint64(0x3FF0000000000000))
    m = m.view(np.float64)  # w = m 2^(exponent - 1/2), 1 <= m < 2
    s = (m - np.float64(1.4142135623730951)) / (m + np.float64(1.4142135623730951))
    z = s * s
    p = z * np.float64(1 / 21) + np.float64(1 / 19)
    p = p * z + np.float64(1 / 17)
    p = p * z + np.float64(1 / 15)
    p = p * z + np.float64(1 / 13)
    p = p * z + np.float64(1 / 11)
    p = p * z + np.float64(1 / 9)
    p = p * z + np.float64(1 / 7)
    p = p * z + np.float64(1 / 5)
    p = p * z + np.float64(1 / 3)
    p = p * z + np.float64(1.0)
    return np.float64(abs(exponent * np.float64(0.6931471805599453) + np.float64(2.0) * s * p))


@exact
def quarter_turns(t: np.float64) -> np.float64:
    """cos(t π/2) for -1 <= t < 4, within 3e-16, by the series at the nearest quarter."""
    quarter = np.floor(t + np.float64(0.5))
    x = (t - quarter) * np.float64(1.5707963267948966)
    y = x * x
    c = y * np.float64(-1 / 6402373705728000) + np.float64(1 / 20922789888000)
    c = c * y - np.float64(1 / 87178291200)
    c = c * y + np.float64(1 / 479001600)
    c = c * y - np.float64(1 / 3628800)
    c = c * y + np.float64(1 / 40320)
    c = c * y - np.float64(1 / 720)
    c = c * y + np.float64(1 / 24)
    c = c * y - np.float64(1 / 2)
    c = c * y + np.float64(1.0)
    s = y * np.float64(1 / 355687428096000) - np.float64(1 / 1307674368000)
    s = s * y + np.float64(1 / 6227020800)
    s = s * y - np.float64(1 / 39916800)
    s = s * y + np.float64(1 / 362880)
    s = s * y - np.float64(1 / 5040)
    s = s * y + np.float64(1 / 120)
    s = s * y - np.float64(1 / 6)
    s = s * y + np.float64(1.0)
    k = np.int64(quarter)
    sign = np.float64(1 - (k & 2))
    odd = np.float64(k & 1)
    return np.float64(sign * ((np.float64(1.0) - odd) * c - odd * (x * s)))


@exact
def bell(u: np.float64, v: np.float64, odd: np.float64) -> np.float64:
    """A normal number of two even ones in [0, 1) (Box and Muller 1958); with odd = 1 the other."""
    radius = np.sqrt(np.float64(2.0) * minus_log(np.float64(1.0) - u))
    return np.float64(radius * quarter_turns(np.float64(4.0) * v - odd))


@exact
def gauss(key: np.uint64, k: int) -> np.float64:
    """Number k of the stream of a key, as `rng.noise` numbers them."""
    odd = k & 1
    u, v = unit(word(key, k - odd)), unit(word(key, k - odd + 1))
    return bell(u, v, np.float64(odd))


@exact
def shuffle(order: np.ndarray[tuple[int], np.dtype[np.int64]], key: np.uint64) -> None:
    """Fill order with 0 to n - 1 at random, n <= 2^32: the same as rng.permutation(key, n)."""
    n = len(order)
    for i in range(n):
        order[i] = i
    for k in range(n - 1):
        i = n - 1 - k
        high = np.uint64(word(key, k) >> np.uint64(32))
        j = np.int64(np.uint64(high * np.uint64(i + 1)) >> np.uint64(32))
        order[i], order[j] = order[j], order[i]
