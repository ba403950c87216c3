import numpy as np


def sigmoid(x):
    """1 / (1 + exp(-x)), with exp(x) on top where x < 0, so that exp never overflows."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def step(X, Y, params, learning_rate):
    """Train on one batch: SGD on mse. Return the loss."""
    n = len(X)
    # the parameters are views of one flat array
    W1 = params[0:8].reshape(2, 4)  # (2, 4)
    b1 = params[8:12]  # (4,)
    W2 = params[12:16].reshape(4, 1)  # (4, 1)
    b2 = params[16:17]  # (1,)
    # forward
    z1 = X @ W1 + b1  # (n, 4)
    a1 = sigmoid(z1)  # (n, 4)
    z2 = a1 @ W2 + b2  # (n, 1)
    a2 = sigmoid(z2)  # (n, 1)
    error = a2 - Y  # (n, 1)
    loss = np.mean(error ** 2)
    # backward
    d_a2 = 2.0 * error / n  # (n, 1)
    d_z2 = d_a2 * (a2 * (1 - a2))  # (n, 1)
    d_W2 = a1.T @ d_z2  # (4, 1)
    d_b2 = np.sum(d_z2, axis=0)  # (1,)
    d_a1 = d_z2 @ W2.T  # (n, 4)
    d_z1 = d_a1 * (a1 * (1 - a1))  # (n, 4)
    d_W1 = X.T @ d_z1  # (2, 4)
    d_b1 = np.sum(d_z1, axis=0)  # (4,)
    grads = np.concatenate([d_W1.ravel(), d_b1, d_W2.ravel(), d_b2], axis=0)  # (17,)
    # update
    params -= learning_rate * grads
    return loss
