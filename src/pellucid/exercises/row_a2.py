"""Row A2: sanity checks and the classic faults of training, each on a real run.

Every exercise trains small networks, which takes a moment: well under a second each.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from pellucid import rng
from pellucid.data import blobs, moons
from pellucid.errors import TrainingWarning
from pellucid.exercises.build import draws, entry
from pellucid.exercises.exercise import Exercise, Given, Solution, exercise, part, solution
from pellucid.graph import Array
from pellucid.history import History
from pellucid.model import Sequential
from pellucid.nn import Dense, Layer
from pellucid.ops import cce
from pellucid.optim import SGD, Adam, Optimizer


def _classifier(classes: int, *hidden: Layer, optimizer: Optimizer, seed: int = 0) -> Sequential:
    layers = [*hidden, Dense(classes, "softmax")]
    return Sequential(layers, loss="cce", optimizer=optimizer, metrics=["accuracy"], seed=seed,
                      dtype="float64")  # fmt: skip


def _neuron(hidden: Layer, optimizer: Optimizer, loss: str = "bce") -> Sequential:
    end = Dense(1, "sigmoid" if loss == "bce" else None)
    metrics = ["accuracy"] if loss == "bce" else []
    return Sequential([hidden, end], loss=loss, optimizer=optimizer, metrics=metrics,
                      dtype="float64")  # fmt: skip


def _fit(model: Sequential, X: Any, y: Any, epochs: int, **settings: Any) -> History:
    """Train in silence; a training that fails is what some exercises are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        given = {"batch_size": None, "on_nonfinite": "report", **settings}
        return model.fit(X, y, epochs=epochs, verbose=0, **given)


def _noise(samples: int, features: int, classes: int, seed: int = 0) -> tuple[Array, Array]:
    """Return samples whose labels have nothing to do with them."""
    X = rng.normal(rng.key(seed, "worked noise"), (samples, features))
    draw = rng.uniform(rng.key(seed, "worked labels"), (samples,))
    return X, (draw * classes).astype(int)


@exercise(
    "A2/initial loss",
    "what the loss is before anything is learned",
    {"classes": [2, 3, 10]},
    "A classifier that knows nothing gives every class the same share. What is its cross-entropy?",
)
def initial_loss(given: Given) -> Solution:
    losses, guesses, drawn = {}, {}, {}
    for count in given["classes"]:
        X, y = blobs(300, count)
        zero = Sequential([Dense(count, "softmax", init="zeros")], loss="cce", dtype="float64")
        losses[count] = zero.loss(X, y)
        guesses[count] = cce(np.full((1, count), 1 / count), np.zeros(1, int))
        drawn[count] = _classifier(count, Dense(16, "relu"), optimizer=SGD()).loss(X / 10, y)
    return solution(
        part(
            "A pure guess",
            "With C classes every share is 1/C, and -log(1/C) = log C.",
            [entry(f"guess_{c}", g, f"-log(1/{c})") for c, g in guesses.items()],
        ),
        part(
            "A network with weights 0",
            "All scores are 0, so softmax gives equal shares: it guesses.",
            [entry(f"loss_{c}", v, f"loss with {c} classes") for c, v in losses.items()],
            so="Random weights start near it: "
            + ", ".join(f"{v:.2f} with {c} classes" for c, v in drawn.items())
            + ". A first loss far from log C means a wrong scale of data or weights, or a wrong "
            "loss: look there before training.",
        ),
    )


@exercise(
    "A2/overfit ten samples",
    "can it learn at all?",
    {"samples": 10, "features": 4, "classes": 3},
    "Train on one batch of 10 random samples. A sound network must get its loss to almost 0.",
)
def overfit_ten(given: Given) -> Solution:
    X, y = _noise(given["samples"], given["features"], given["classes"])
    model = _classifier(3, Dense(32, "relu"), optimizer=Adam(0.05))
    history = _fit(model, X, y, 300)
    return solution(
        part(
            "One batch, again and again",
            "Even labels without sense can be learned by heart, if gradients and steps are right.",
            entry("loss_first", history["loss"][0], "loss of the first epoch", digits=4),
            entry("loss_last", history["loss"][-1], "loss of the last epoch", digits=6),
            entry("accuracy", history["accuracy"][-1], "share that is right"),
            so="If this fails, more data will not help: something in the network, the loss or the "
            "step is broken.",
        ),
        plots={"loss": draws("history", history)},
    )


@exercise(
    "A2/memorize twenty",
    "enough parameters to remember?",
    {"samples": 20, "features": 2, "classes": 3},
    "Train on 20 random samples. More than 99% must be right.",
)
def memorize_twenty(given: Given) -> Solution:
    X, y = _noise(given["samples"], given["features"], given["classes"])
    model = _classifier(3, Dense(64, "relu"), optimizer=Adam(0.03))
    history = _fit(model, X, y, 400)
    sizes = sum(p.size for p in model.params.values())
    return solution(
        part(
            "Learned by heart",
            "There is nothing to understand in these labels, so all it can do is remember them.",
            entry("parameters", sizes, "weights and biases of 2-64-3"),
            entry("accuracy", history["accuracy"][-1], "share that is right"),
            so="A network that cannot memorize 20 samples is too small, or is not trained.",
        ),
        plots={"loss": draws("history", history)},
    )


@exercise(
    "A2/regularization",
    "a penalty must cost something",
    {"l2": 0.1},
    "Train twice from the same start, without and with the penalty. Which fits the data better?",
)
def regularization(given: Given) -> Solution:
    X, y = moons(100)
    runs = {}
    for name, l2 in (("without", 0.0), ("with", given["l2"])):
        model = _neuron(Dense(16, "relu", l2=l2), Adam(0.02))
        runs[name] = _fit(model, X, y, 300)
    key = {"without": "loss", "with": "data_loss"}
    ends = {name: run[key[name]][-1] for name, run in runs.items()}
    return solution(
        part(
            "The same data, twice",
            "(l2/2) ΣW² is added to the loss, so the weights are pulled toward 0.",
            [entry(f"loss_{n}", v, f"loss on the data, {n} penalty", digits=4)
             for n, v in ends.items()],
            entry("higher", ends["with"] > ends["without"], "the penalty raises it"),
            so="As it must: what is paid for small weights is missing for the data. A penalty that "
            "does not raise the training loss is not at work.",
        ),
        plots={"loss": draws("history", {n: run["loss"] for n, run in runs.items()})},
    )  # fmt: skip


@exercise(
    "A2/random baseline",
    "what guessing is worth",
    {"samples": 3000, "classes": 3},
    "How many labels does an untrained network get right where labels are random? What is 99% "
    "worth where 99% of the samples are of one class?",
)
def random_baseline(given: Given) -> Solution:
    X, y = _noise(given["samples"], 4, given["classes"])
    untrained = _classifier(given["classes"], Dense(16, "relu"), optimizer=SGD())
    share = untrained.evaluate(X, y)["accuracy"]
    rare = (np.arange(len(X)) % 100 == 0).astype(int)
    always = _classifier(2, optimizer=SGD())
    always.loss(X, rare)
    always.params = {"W1": np.zeros((4, 2)), "b1": [1.0, 0.0]}
    return solution(
        part(
            "Balanced classes",
            "One of C labels is right by chance.",
            entry("chance", 1 / given["classes"], "1 / classes", digits=4),
            entry("untrained", share, "accuracy of random weights", digits=4),
        ),
        part(
            "One sample in a hundred",
            "A model that always says class 0, for classes of 99% and 1%.",
            entry("always_0", always.evaluate(X, rare)["accuracy"], "accuracy of saying 0"),
            so="An accuracy means something only beside that of the best blind guess.",
        ),
    )


@exercise(
    "A2/NaN loss",
    "the loss becomes infinite or NaN",
    {"rate": 1.0, "calmer rate": 0.05},
    "A 2-16-1 network with squared error is trained on targets of a few hundred. Why does it fail, "
    "and what helps?",
)
def nan_loss(given: Given) -> Solution:
    X, _ = moons(100)
    y = 300 * X[:, :1]
    failed = _fit(_neuron(Dense(16, "relu"), SGD(given["rate"]), "mse"), X, y, 50, batch_size=10)
    X1, y1 = X / X.std(0), y / y.std()
    fixed = _fit(_neuron(Dense(16, "relu"), SGD(given["calmer rate"]), "mse"), X1, y1, 50)
    return solution(
        part(
            "Symptom",
            "Training stops by itself where a number is no longer finite.",
            entry("stopped", bool(failed.stopped), "training stopped early"),
            so=f"It says: {failed.stopped}.",
        ),
        part(
            "Cause",
            "Large targets make large errors, these large gradients; times the rate they overshoot "
            "by more than they correct, so every step makes the error larger. Other causes: NaN or "
            "Inf in the data, the logarithm of 0, exp of large scores.",
        ),
        part(
            "Fix, measured",
            "Targets and inputs of standard deviation 1, and a smaller rate.",
            entry("loss_fixed", fixed["loss"][-1], "loss after 50 epochs", digits=4),
            so="It runs to the end. Scale the data first; then lower the rate until the loss falls "
            "steadily.",
        ),
    )


@exercise(
    "A2/flat loss",
    "the loss does not move",
    {"epochs": 100},
    "A 2-16-1 network with ReLU has hidden biases of -10. Why is its loss flat, and what helps?",
)
def flat_loss(given: Given) -> Solution:
    X, y = moons(100)
    dead = _neuron(Dense(16, "relu", bias_init=-10.0), SGD(0.5))
    moving = float(np.abs(dead.gradients(X, y)["W1"]).max())
    on = float((dead.activations(X)["a1"] > 0).mean())
    flat = _fit(dead, X, y, given["epochs"])
    alive = _fit(_neuron(Dense(16, "relu"), SGD(0.5)), X, y, given["epochs"])
    return solution(
        part(
            "Symptom",
            "The loss stays at that of a guess.",
            entry("loss_flat", flat["loss"][-1], "loss after the last epoch"),
        ),
        part(
            "Cause",
            "Every hidden score is negative for every sample, so ReLU answers 0 and passes 0 back.",
            entry("on", on, "share of hidden values above 0"),
            entry("gradient", moving, "largest |dW1|"),
            so="All units are dead: only the output bias can learn. A rate much too small, or "
            "weights all 0 or all equal, look alike from outside; the gradient tells them apart.",
        ),
        part(
            "Fix, measured",
            "Biases of 0 and He's weights, at the same rate.",
            entry("loss_fixed", alive["loss"][-1], "loss after the last epoch", digits=4),
        ),
        plots={"loss": draws("history", {"dead": flat, "alive": alive})},
    )


@exercise(
    "A2/overfitting",
    "right in training, wrong outside",
    {"samples": 40, "held out": 1000, "features": 50},
    "Only the sign of the first of 50 features matters. A 50-64-2 network learns 40 samples: how "
    "many of those, and of new ones, are right? What helps?",
)
def overfitting(given: Given) -> Solution:
    count, size = given["samples"], given["samples"] + given["held out"]
    X = rng.normal(rng.key(1, "worked overfitting"), (size, given["features"]))
    y = (X[:, 0] > 0).astype(int)
    kept = X[count:], y[count:]
    small = _fit(_wide(), X[:count], y[:count], 200, validation_data=kept)
    more = rng.normal(rng.key(2, "worked overfitting"), (2000, given["features"]))
    large = _fit(_wide(), more, (more[:, 0] > 0).astype(int), 200, validation_data=kept)
    return solution(
        part(
            "Symptom",
            "The gap between training and held-out samples.",
            entry("train", small["accuracy"][-1], "accuracy on the 40"),
            entry("validation", small["val_accuracy"][-1], "accuracy on new samples"),
        ),
        part(
            "Cause",
            "More than 3,000 parameters for 40 samples: it can fit what these have in common by "
            "chance, in the 49 features that mean nothing.",
        ),
        part(
            "Fix, measured",
            "2,000 samples, and nothing else changed.",
            entry("validation_fixed", large["val_accuracy"][-1], "accuracy on new samples"),
            so="Where there are no more samples: fewer units, a penalty, dropout, or stopping "
            "early.",
        ),
        plots={"accuracy": draws("history", {"40 samples": small, "2000": large}, "accuracy")},
    )


def _wide() -> Sequential:
    return _classifier(2, Dense(64, "relu"), optimizer=Adam(0.01))


@exercise(
    "A2/oscillating loss",
    "the loss goes up and down",
    {"rates": [20.0, 1.0], "epochs": 100},
    "A 2-16-1 network is trained on all samples at once with each rate. How often does the loss "
    "rise?",
)
def oscillating_loss(given: Given) -> Solution:
    X, y = moons(100)
    runs = {r: _fit(_neuron(Dense(16, "relu"), SGD(r)), X, y, given["epochs"])
            for r in given["rates"]}  # fmt: skip
    high, low = runs.values()
    return solution(
        part(
            "Symptom",
            "With all samples in one batch there is no noise: every rise is a step too far.",
            entry("rises_high", _rises(high), "rises of the loss at the high rate"),
        ),
        part(
            "Cause",
            "The step is longer than the valley is wide, so it lands on the other slope. With "
            "mini-batches the noise of small batches looks alike: larger batches calm that.",
        ),
        part(
            "Fix, measured",
            "A twentieth of the rate.",
            entry("rises_low", _rises(low), "rises of the loss at the low rate"),
            entry("loss_high", high["loss"][-1], "last loss, high rate", digits=4),
            entry("loss_low", low["loss"][-1], "last loss, low rate", digits=4),
        ),
        plots={"loss": draws("history", {f"rate {r:g}": run for r, run in runs.items()})},
    )


def _rises(history: History) -> int:
    return int((np.diff(history["loss"]) > 0).sum())


FOUR = {
    "nan": (nan_loss, "Steps too long, or numbers too large. Scale the data, lower the rate."),
    "flat": (flat_loss, "No gradient arrives: dead or saturated units. Better weights and biases."),
    "gap": (overfitting, "Too many parameters for the samples. More samples, or fewer parameters."),
    "waves": (
        oscillating_loss,
        "The rate is too high, or the batch too small. Change the one or the other.",
    ),
}


@exercise(
    "A/diagnosis",
    "four troubles, their causes and fixes",
    {},
    "The loss becomes NaN. The loss does not move. 99% are right in training, 60% outside. The "
    "loss goes up and down. What is the cause of each, and what helps? Every one is a real run.",
)
def diagnosis(given: Given) -> Solution:
    found = {key: (each, says, each.solve(each.given)) for key, (each, says) in FOUR.items()}
    return solution(
        *[
            part(
                each.title[0].upper() + each.title[1:],
                says,
                [replace(e, key=f"{key}_{e.key}", symbol=f"{key}_{e.symbol}")
                 for p in run.parts for e in p.entries],
                so=f"How it comes about: worked({each.name!r}).",
            )
            for key, (each, says, run) in found.items()
        ],
    )  # fmt: skip


EXERCISES: tuple[Exercise, ...] = (
    diagnosis,
    initial_loss,
    overfit_ten,
    memorize_twenty,
    regularization,
    random_baseline,
    nan_loss,
    flat_loss,
    overfitting,
    oscillating_loss,
)
