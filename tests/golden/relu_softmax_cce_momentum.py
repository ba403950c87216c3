import numpy as np


def logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))), the largest x taken off first, so that exp never overflows."""
    top = np.max(x, axis=axis, keepdims=True)
    total = top + np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True))
    return total if keepdims else np.squeeze(total, axis=axis)


def softmax(x, axis=None):
    """exp(x) / sum(exp(x)), the largest x taken off first, so that exp never overflows."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def step(X, Y, params, velocity, learning_rate):
    """Train on one batch: SGD on cce. Return the loss."""
    n = len(X)
    # the parameters are views of one flat array
    W1 = params[0:200].reshape(2, 100)  # (2, 100)
    b1 = params[200:300]  # (100,)
    W2 = params[300:600].reshape(100, 3)  # (100, 3)
    b2 = params[600:603]  # (3,)
    # forward
    z1 = X @ W1 + b1  # (n, 100)
    a1 = np.maximum(z1, 0)  # (n, 100)
    z2 = a1 @ W2 + b2  # (n, 3)
    loss = np.mean(logsumexp(z2, axis=1) - np.sum(Y * z2, axis=1))
    # backward
    a2 = softmax(z2, axis=1)  # (n, 3)
    d_z2 = (a2 - Y) / n  # (n, 3)
    d_W2 = a1.T @ d_z2  # (100, 3)
    d_b2 = np.sum(d_z2, axis=0)  # (3,)
    d_a1 = d_z2 @ W2.T  # (n, 100)
    d_z1 = d_a1 * (z1 > 0)  # (n, 100)
    d_W1 = X.T @ d_z1  # (2, 100)
    d_b1 = np.sum(d_z1, axis=0)  # (100,)
    grads = np.concatenate([d_W1.ravel(), d_b1, d_W2.ravel(), d_b2], axis=0)  # (603,)
    # update
    velocity[:] = 0.9 * velocity + grads
    params -= learning_rate * velocity
    return loss
