"""What the doctor says: findings in ranks, each with its numbers, and the table of their codes.

Code      what a code means: cause and remedy     Finding   one of them, with what was measured
Report    all findings, and what was looked at    report    rank them; say one cause once
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from textwrap import fill
from typing import Any

import numpy as np

SEVERITIES = ("error", "warning", "info")
WIDTH = 80  # columns of a printed report


@dataclass(frozen=True)
class Code:
    """What a code stands for: its cause, its remedy, and the codes it explains where both hold."""

    cause: str
    remedy: str
    explains: tuple[str, ...] = ()


SYMPTOMS = (
    "exploding-gradients", "vanishing-gradients", "dead-units", "saturated-units",
    "oscillating-loss", "underfitting", "plateau", "ignores-input", "learning-rate-too-high",
    "learning-rate-too-low", "non-finite", "overfitting",
)  # fmt: skip
STARTS = ("init-too-large", "init-too-small")

# In causal order: a code may explain those below it, hardly one of those above it.
CODES: dict[str, Code] = {
    "nan-in-data": Code(
        "a value that is missing or was computed as 0/0 makes every loss it touches NaN",
        "drop those rows, or fill them: np.nan_to_num, or the column's median",
        (*STARTS, *SYMPTOMS, "constant-feature", "inf-in-data"),
    ),
    "inf-in-data": Code(
        "an infinite value, of a division by 0 or an overflow, makes the loss infinite or NaN",
        "drop those rows, or clip the column: np.clip(X, low, high)",
        (*STARTS, *SYMPTOMS, "constant-feature"),
    ),
    "label-out-of-range": Code(
        "a label names a class that the model's output does not have",
        "count labels from 0, and give the last layer one unit for each class",
        (*SYMPTOMS, "wrong-output-for-loss", "class-imbalance"),
    ),
    "shape-broadcast": Code(
        "(n,) against (n, 1) becomes (n, n): every prediction is compared with every target",
        "give prediction and target one shape: y.reshape(-1, 1)",
        (*SYMPTOMS, "wrong-output-for-loss", "too-much-regularization"),
    ),
    "wrong-gradient": Code(
        "the backward formula of a custom gradient is not the derivative of its forward formula",
        "correct the formula, or leave it out: gradients are derived without it",
        (*STARTS, *SYMPTOMS),
    ),
    "double-softmax": Code(
        "the last layer is a softmax, and the loss applies one more: shares are squeezed together",
        'no activation in the last layer, or loss="cce" on the shares',
        (*SYMPTOMS, "wrong-output-for-loss"),
    ),
    "wrong-output-for-loss": Code(
        "the last layer cannot give what the loss takes or what the targets are",
        "softmax with cce, sigmoid with bce, no activation for values of any size",
        (*SYMPTOMS, *STARTS),
    ),
    "ignores-input": Code(
        "the output is the same whatever the input: nothing can be learned but a constant",
        "look for a layer that multiplies by 0, constant features, or units that are all dead",
        ("unused-parameter", "constant-feature", "random-labels", *STARTS, *SYMPTOMS),
    ),
    "unused-parameter": Code(
        "the loss does not depend on it, so it is never trained",
        "use it in the layer's formula, or do not declare it",
        (),
    ),
    "zero-init": Code(
        "units that start alike get equal gradients and stay alike: one unit, many times over",
        'random initial weights: leave init out, or init="he" or "glorot"',
        (*STARTS, *SYMPTOMS),
    ),
    "leaked-rows": Code(
        "rows are in training and in validation data, so validation measures memory",
        "drop duplicates before splitting, and split once",
        ("duplicate-rows",),
    ),
    "random-labels": Code(
        "labels have no relation to the inputs: shuffled apart, or joined with the wrong rows",
        "check how X and y were joined; sort both by one key",
        (*SYMPTOMS, "too-much-regularization", "too-much-dropout", "batch-too-small"),
    ),
    "class-imbalance": Code(
        "one class has most of the rows: always naming it already scores well",
        'fit(…, class_weight="balanced"), and judge by the score of each class',
        (*STARTS, *SYMPTOMS),
    ),
    "unscaled-features": Code(
        "initial weights suit inputs of size 1: larger ones saturate units and blow up steps",
        "standardize on the training rows: (X - X.mean(0)) / X.std(0)",
        (*STARTS, *SYMPTOMS),
    ),
    "constant-feature": Code(
        "a column that never changes says nothing; its weight acts as one more bias",
        "drop the column: X[:, X.std(0) > 0]",
    ),
    "duplicate-rows": Code(
        "rows are there several times: they count more, and leak into a validation split",
        "np.unique(X, axis=0), before splitting",
    ),
    "sorted-data": Code(
        "rows come in the order of their targets and are not shuffled: each batch undoes the last",
        "shuffle=True, or shuffle the rows once before they are split",
        SYMPTOMS,
    ),
    "init-too-large": Code(
        "initial weights are so large that units start saturated and scores start huge",
        'leave init out, or init="he" for ReLU, "glorot" for tanh and sigmoid',
        SYMPTOMS,
    ),
    "init-too-small": Code(
        "initial weights are so small that signals and gradients fade from layer to layer",
        'leave init out, or init="he" for ReLU, "glorot" for tanh and sigmoid',
        SYMPTOMS,
    ),
    "exploding-gradients": Code(
        "each layer enlarges the signal, so gradients grow with every layer they pass",
        'init="he" or "glorot", fewer layers, or smaller steps',
        ("oscillating-loss", "plateau", "non-finite", "learning-rate-too-high", "dead-units",
         "saturated-units", "underfitting"),
    ),
    "vanishing-gradients": Code(
        "each layer shrinks the gradient (a sigmoid by 4 or more), so first layers stand still",
        'activation="relu" in the hidden layers, or fewer of them',
        ("plateau", "underfitting", "learning-rate-too-low", "saturated-units"),
    ),
    "too-much-regularization": Code(
        "the penalty on the weights outweighs the data: weights are pulled to 0",
        "a smaller l2 or l1, such as 1e-4, or none",
        ("plateau", "underfitting", "oscillating-loss", "ignores-input", "non-finite",
         "learning-rate-too-high", "vanishing-gradients"),
    ),
    "too-much-dropout": Code(
        "so many units are dropped at each step that what is left cannot do the task",
        "Dropout(0.2), or none",
        ("plateau", "underfitting", "oscillating-loss"),
    ),
    "batch-too-small": Code(
        "each step follows so few rows that its direction is mostly noise",
        "batch_size=32, or a smaller learning rate",
        ("oscillating-loss", "plateau", "learning-rate-too-high", "dead-units"),
    ),
    "saturated-units": Code(
        "units stand where their activation is flat, so next to no gradient passes them",
        "smaller initial weights and biases near 0, or another activation",
        ("vanishing-gradients", "plateau", "learning-rate-too-low", "underfitting"),
    ),
    "dead-units": Code(
        "ReLU units are 0 for every row: no gradient reaches them, so they stay so",
        'biases at 0, a smaller learning rate, or activation="leaky_relu"',
        ("plateau", "underfitting", "ignores-input", "learning-rate-too-low",
         "vanishing-gradients"),
    ),
    "learning-rate-too-high": Code(
        "steps overshoot the valley, so the loss jumps or grows instead of falling",
        "a learning rate 10 times smaller, or 100",
        ("oscillating-loss", "plateau", "dead-units", "saturated-units", "non-finite",
         "exploding-gradients", "ignores-input", "underfitting", "overfitting"),
    ),
    "oscillating-loss": Code(
        "steps are about as long as the valley is wide: the loss goes up as often as down",
        "a learning rate 3 to 10 times smaller, less momentum, or larger batches",
        ("plateau", "underfitting"),
    ),
    "learning-rate-too-low": Code(
        "steps are so short that the weights hardly move in the epochs given",
        "a learning rate 10 times larger, or 100",
        ("plateau", "underfitting", "vanishing-gradients"),
    ),
    "underfitting": Code(
        "the model is too small, or trained for too few epochs, for what the data hold",
        "more hidden units, one more hidden layer, or more epochs",
        ("plateau",),
    ),
    "plateau": Code(
        "training stands still far above what can be reached: a flat region or a poor valley",
        "another seed, momentum or Adam",
    ),
    "overfitting": Code(
        "the model has learned the training rows themselves, noise included",
        "more rows, early stopping, Dropout or l2, or a smaller model",
    ),
    "non-finite": Code(
        "a formula gave NaN or Inf: log of 0, 0/0, or an overflow",
        "keep the formula in its domain, or use the loss that takes scores",
        SYMPTOMS,
    ),
    "duplicate-columns": Code(
        "two columns hold the same values, so their weights share one task",
        "drop one of them",
    ),
    "leaked-target": Code(
        "a column is the target in other words, which will not be there when it is to be predicted",
        "drop the column, if it is computed from the target",
        ("duplicate-columns",),
    ),
}  # fmt: skip
ORDER = {code: place for place, code in enumerate(CODES)}


@dataclass(frozen=True, eq=False)
class Finding:
    """One thing that is wrong, or worth knowing.

    `code`, stable; `severity`, "error", "warning" or "info"; `sentence`; `evidence`, what was
    measured, with thresholds and where they come from; `where`, layer, unit, rows or columns;
    `cause`; `remedy`; `counterfactual`, what the remedy made of the loss, None where not tried.

    >>> found("duplicate-rows", "info", "3 rows are there twice").severity
    'info'
    """

    code: str
    severity: str
    sentence: str
    evidence: Mapping[str, Any]
    where: Mapping[str, Any]
    cause: str
    remedy: str
    counterfactual: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        """Return it in lines of at most 80 columns."""
        lines = [f"{self.severity}: {self.code}", f"  {self.sentence}"]
        lines += [f"  where: {_listed(self.where)}"] if self.where else []
        lines += [f"  measured: {_listed(self.evidence)}"] if self.evidence else []
        lines += [f"  cause: {self.cause}", f"  remedy: {self.remedy}"]
        lines += [f"  {_listed(self.counterfactual)}"] if self.counterfactual else []
        return "\n".join(_wrapped(line) for line in lines)


def found(
    code: str,
    severity: str,
    sentence: str,
    evidence: Mapping[str, Any] | None = None,
    where: Mapping[str, Any] | None = None,
    counterfactual: Mapping[str, Any] | None = None,
    remedy: str = "",
) -> Finding:
    """Return a finding, with cause and remedy out of the table."""
    known = CODES[code]
    return Finding(
        code, severity, sentence, dict(evidence or {}), dict(where or {}), known.cause,
        remedy or known.remedy, counterfactual,
    )  # fmt: skip


def _wrapped(line: str) -> str:
    return fill(line, WIDTH, subsequent_indent="    ", break_long_words=True)


def _listed(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        more = f", … ({len(value)} in all)" if len(value) > 6 else ""
        return ", ".join(map(_short, value[:6])) + more
    return str(value)


@dataclass(frozen=True, eq=False)
class Report:
    """What the doctor found, the most important first, and what was looked at.

    >>> print(report([], ["scale of the features", "duplicate rows"]))
    nothing found
    checked: scale of the features, duplicate rows
    """

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    seconds: float = field(default=0.0)
    sanity: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # measured, not judged

    @property
    def healthy(self) -> bool:
        """False where there is any error or warning."""
        return all(f.severity == "info" for f in self.findings)

    def __str__(self) -> str:
        """Return it as text of at most 80 columns."""
        found = [str(f) for f in self.findings] or ["nothing found"]
        looked = _wrapped("checked: " + ", ".join(self.checked))
        gap = "\n\n" if self.findings else "\n"
        measured = [
            _wrapped(f"measured on {name}: {_listed(parts)}") for name, parts in self.sanity.items()
        ]
        return "\n".join([gap.join(found) + gap + looked, *measured])

    def __repr__(self) -> str:
        """Return it as text: at a prompt, the report is what one wants to see."""
        return str(self)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON takes it, with None for what is not finite."""
        whole = {
            "healthy": self.healthy,
            "findings": [vars(f) for f in self.findings],
            "checked": list(self.checked),
            "sanity": self.sanity,
        }
        told: dict[str, Any] = _plain(whole)
        return told


def _plain(value: Any) -> Any:
    """Return what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def report(findings: Iterable[Finding], checked: Sequence[str], seconds: float = 0.0) -> Report:
    """Return the findings ranked, each cause once: what another one explains is named there."""
    ranked = sorted(findings, key=_rank)
    kept: list[Finding] = []
    for finding in ranked:
        cause = _explaining(kept, finding)
        if cause is None:
            kept.append(finding)
        elif kept[cause].code != finding.code:
            told = [*kept[cause].evidence.get("explains", []), finding.code]
            kept[cause] = replace(
                kept[cause],
                evidence={**kept[cause].evidence, "explains": list(dict.fromkeys(told))},
            )
    return Report(tuple(kept), tuple(dict.fromkeys(checked)), seconds)


def _rank(finding: Finding) -> tuple[int, int, bool]:
    """Return what findings are sorted by: severity, then causes before effects, then proof."""
    return SEVERITIES.index(finding.severity), ORDER[finding.code], not finding.counterfactual


def _explaining(kept: Sequence[Finding], finding: Finding) -> int | None:
    """Return the place of the finding that explains this one; a curiosity explains nothing."""
    for place, cause in enumerate(kept):
        same = cause.code == finding.code
        if same or (cause.severity != "info" and finding.code in CODES[cause.code].explains):
            return place
    return None
