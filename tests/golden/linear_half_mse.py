import numpy as np


def step(X, Y, params, learning_rate):
    """Train on one batch: SGD on half_mse. Return the loss."""
    n = len(X)
    # the parameters are views of one flat array
    W1 = params[0:1].reshape(1, 1)  # (1, 1)
    b1 = params[1:2]  # (1,)
    # forward
    z1 = X @ W1 + b1  # (n, 1)
    error = z1 - Y  # (n, 1)
    loss = np.mean(0.5 * error ** 2)
    # backward
    d_z1 = error / n  # (n, 1)
    d_W1 = X.T @ d_z1  # (1, 1)
    d_b1 = np.sum(d_z1, axis=0)  # (1,)
    grads = np.concatenate([d_W1.ravel(), d_b1], axis=0)  # (2,)
    # update
    params -= learning_rate * grads
    return loss
