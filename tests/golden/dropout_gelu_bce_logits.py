import numpy as np


def exp_minus_square(x, c):
    """exp(-c x^2): rounding x^2 costs digits, so x = h + rest, h so short that h*h is exact."""
    x = np.minimum(np.abs(x), 40.0)
    h = np.trunc(x * 256) / 256
    return np.exp(-c * h * h) * np.exp(-c * (x - h) * (x + h))


def horner(coefficients, x):
    """The polynomial with these coefficients, the highest power first."""
    value = coefficients[0]
    for c in coefficients[1:]:
        value *= x  # in place, from the second step on
        value += c
    return value


def scaled_erfc(y):
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


def erf_series(x):
    """erf for |x| <= 1/2: 2/sqrt(pi) sum (-1)^n x^(2n+1) / (n! (2n+1)), A. & Stegun 7.1.5."""
    sign_over_factorial, terms = 1.0, [1.0]
    for n in range(1, 13):
        sign_over_factorial /= -n
        terms.append(sign_over_factorial / (2 * n + 1))
    return x * (horner(terms[::-1], x * x) * 1.1283791670955126)


def gelu(x):
    """x Phi(x), Phi the normal distribution; far from 0 as max(x, 0) - |x| Phi(-|x|)."""
    y = np.minimum(np.abs(x), 40.0)
    tail = exp_minus_square(y, 0.5) * (y * scaled_erfc(y * 0.7071067811865476) / 2)
    near = x * (0.5 + erf_series(np.clip(x, -0.7, 0.7) * 0.7071067811865476) / 2)
    return np.where(y < 0.7, near, np.maximum(x, 0) - tail)


def sigmoid(x):
    """1 / (1 + exp(-x)), with exp(x) on top where x < 0, so that exp never overflows."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def normal_cdf(x):
    """The share of a normal distribution below x: erfc(-x/sqrt(2)) / 2, exact in the tail."""
    y = np.minimum(np.abs(x), 40.0)
    tail = exp_minus_square(y, 0.5) * (scaled_erfc(y * 0.7071067811865476) / 2)
    middle = 0.5 + erf_series(np.clip(x, -0.7, 0.7) * 0.7071067811865476) / 2
    return np.where(y < 0.7, middle, np.where(x < 0, tail, 1 - tail))


def step(X, Y, mask1, params, m, v, t, learning_rate):
    """Train on one batch: Adam on bce_logits. Return the loss."""
    n = len(X)
    # the parameters are views of one flat array
    W1 = params[0:16].reshape(2, 8)  # (2, 8)
    b1 = params[16:24]  # (8,)
    W2 = params[24:32].reshape(8, 1)  # (8, 1)
    b2 = params[32:33]  # (1,)
    # forward
    z1 = X @ W1 + b1  # (n, 8)
    a1 = gelu(z1)  # (n, 8)
    dropped1 = a1 * mask1 / 0.8  # (n, 8)
    z2 = dropped1 @ W2 + b2  # (n, 1)
    loss = np.mean(np.logaddexp(0, z2) - Y * z2)
    # backward
    d_z2 = (sigmoid(z2) - Y) / n  # (n, 1)
    d_W2 = dropped1.T @ d_z2  # (8, 1)
    d_b2 = np.sum(d_z2, axis=0)  # (1,)
    d_dropped1 = d_z2 @ W2.T  # (n, 8)
    d_a1 = d_dropped1 / 0.8 * mask1  # (n, 8)
    multiply = np.clip(z1, -40.0, 40.0) * (exp_minus_square(z1, 0.5) * 0.3989422804014327)  # (n, 8)
    d_z1 = d_a1 * (normal_cdf(z1) + multiply)  # (n, 8)
    d_W1 = X.T @ d_z1  # (2, 8)
    d_b1 = np.sum(d_z1, axis=0)  # (8,)
    grads = np.concatenate([d_W1.ravel(), d_b1, d_W2.ravel(), d_b2], axis=0)  # (33,)
    # update
    m[:] = 0.9 * m + 0.1 * grads
    v[:] = 0.999 * v + 0.001 * grads ** 2
    m_hat = m / (1 - 0.9 ** t)  # (33,)
    v_hat = v / (1 - 0.999 ** t)  # (33,)
    params -= learning_rate * m_hat / (np.sqrt(v_hat) + 1e-08)
    return loss
