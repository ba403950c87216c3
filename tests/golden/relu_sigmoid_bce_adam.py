import numpy as np


def sigmoid(x):
    """1 / (1 + exp(-x)), with exp(x) on top where x < 0, so that exp never overflows."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def step(X, Y, params, m, v, t, learning_rate):
    """Train on one batch: Adam on bce. Return the loss."""
    n = len(X)
    # the parameters are views of one flat array
    W1 = params[0:16].reshape(2, 8)  # (2, 8)
    b1 = params[16:24]  # (8,)
    W2 = params[24:32].reshape(8, 1)  # (8, 1)
    b2 = params[32:33]  # (1,)
    # forward
    z1 = X @ W1 + b1  # (n, 8)
    a1 = np.maximum(z1, 0)  # (n, 8)
    z2 = a1 @ W2 + b2  # (n, 1)
    loss = np.mean(np.logaddexp(0, z2) - Y * z2)
    a2 = sigmoid(z2)  # (n, 1)
    accuracy = np.mean((a2 > 0.5) == (Y > 0.5))
    # backward
    d_z2 = (a2 - Y) / n  # (n, 1)
    d_W2 = a1.T @ d_z2  # (8, 1)
    d_b2 = np.sum(d_z2, axis=0)  # (1,)
    d_a1 = d_z2 @ W2.T  # (n, 8)
    d_z1 = d_a1 * (z1 > 0)  # (n, 8)
    d_W1 = X.T @ d_z1  # (2, 8)
    d_b1 = np.sum(d_z1, axis=0)  # (8,)
    grads = np.concatenate([d_W1.ravel(), d_b1, d_W2.ravel(), d_b2], axis=0)  # (33,)
    # update
    m[:] = 0.9 * m + 0.1 * grads
    v[:] = 0.999 * v + 0.001 * grads ** 2
    m_hat = m / (1 - 0.9 ** t)  # (33,)
    v_hat = v / (1 - 0.999 ** t)  # (33,)
    params -= learning_rate * m_hat / (np.sqrt(v_hat) + 1e-08)
    return loss, accuracy
