import numpy as np


def step(X, Y, params, velocity, learning_rate):
    """Train on one batch: SGD on mse. Return the loss."""
    n = len(X)
    # the parameters are views of one flat array
    W1 = params[0:15].reshape(3, 5)  # (3, 5)
    b1 = params[15:20]  # (5,)
    W2 = params[20:30].reshape(5, 2)  # (5, 2)
    b2 = params[30:32]  # (2,)
    # forward
    z1 = X @ W1 + b1  # (n, 5)
    a1 = np.tanh(z1)  # (n, 5)
    z2 = a1 @ W2 + b2  # (n, 2)
    error = z2 - Y  # (n, 2)
    data_loss = np.mean(error ** 2)
    penalty1 = 0.005 * np.sum(W1 ** 2)
    loss = data_loss + penalty1
    mae = np.mean(np.abs(error))
    # backward
    d_z2 = 2.0 * error / (2 * n)  # (n, 2)
    d_W2 = a1.T @ d_z2  # (5, 2)
    d_b2 = np.sum(d_z2, axis=0)  # (2,)
    d_a1 = d_z2 @ W2.T  # (n, 5)
    d_z1 = d_a1 * (1 - a1 ** 2)  # (n, 5)
    d_W1 = 0.01 * W1 + X.T @ d_z1  # (3, 5)
    d_b1 = np.sum(d_z1, axis=0)  # (5,)
    grads = np.concatenate([d_W1.ravel(), d_b1, d_W2.ravel(), d_b2], axis=0)  # (32,)
    # update
    velocity[:] = 0.9 * velocity + grads
    params -= learning_rate * (grads + 0.9 * velocity)
    return loss, data_loss, mae
