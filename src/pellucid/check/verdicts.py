"""Verdicts: what counts as right, what is a convention, and how a slip is told with its numbers.

Measured   what is known of the student's own loss, from several runs
passed, excused, convicted   whether gradients are right; the report when they are, and when not
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.check.chain import gradients
from pellucid.check.convict import Trail, near
from pellucid.check.reading import Run
from pellucid.check.slip_report import Candidate, Compared, Proof, SlipReport
from pellucid.check.slips import BY_CODE, Fault
from pellucid.check.trials import Trial
from pellucid.graph import Array

SAME = 1e-6  # two losses are in proportion if their ratio keeps to this


@dataclass(frozen=True)
class Measured:
    """What is known of the student's loss: `known`, whether it is in proportion to the model's.

    `penalty`: the share of the model's penalty in it; `stated`: it is returned or has a method,
    and is not only a name inside its code.
    """

    known: bool = False
    stated: bool = False
    penalty: float = 0.0

    @classmethod
    def by(cls, runs: Sequence[tuple[Run, Trial]]) -> Measured:
        """Compare the losses of several runs with the model's."""
        pairs = [(r.loss, t) for r, t in runs if r.loss is not None]
        if len(pairs) < 3:
            return cls()
        losses = np.array([loss for loss, _ in pairs])
        parts = np.array([[t.loss, t.penalty] for _, t in pairs])
        used = parts if parts[:, 1].any() else parts[:, :1]
        with np.errstate(all="ignore"):
            found = np.linalg.lstsq(used, losses, rcond=None)[0]
        fits = np.allclose(used @ found, losses, rtol=1e-6 * 10, atol=0) and found[0] > 0
        extra = float(found[1]) if len(found) > 1 else 0.0
        return cls(bool(fits), runs[0][0].stated, extra if abs(extra) > SAME else 0.0)

    def scale(self, run: Run, trial: Trial) -> float:
        """Return the student's loss against the model's, both without penalty; 1 if unknown."""
        if not self.known or run.loss is None or not trial.loss:
            return 1.0
        return (run.loss - self.penalty * trial.penalty) / trial.loss

    def half(self, run: Run, trial: Trial) -> bool | None:
        """Say whether the student's squared error has a ½; None where its loss is not known."""
        own = {"mse": 1.0, "half_mse": 0.5}.get(trial.layers[0].loss.name if trial.layers else "")
        if not self.known or own is None:
            return None
        own *= self.scale(run, trial)
        outputs = trial.task.y.shape[-1]
        sums = [1, trial.n, outputs, trial.n * outputs]
        return (
            bool(np.isclose(np.multiply(sums, 0.5), own).any()) and not np.isclose(sums, own).any()
        )

    def step(self, run: Run, trial: Trial) -> float:
        """Return what turns a step into a gradient, where the learning rate is not known."""
        if not run.moved or run.rate is not None:
            return 1.0
        right = trial.right()
        name = next((k for k in reversed(list(right)) if (right[k] != 0).any()), None)
        if name is None or run.grads[name].shape != right[name].shape:
            return 1.0
        share = float((run.grads[name] * right[name]).sum() / (right[name] ** 2).sum())
        return abs(share) or 1.0

    def rate(self, run: Run, trial: Trial) -> float | None:
        """Return the learning rate, if it is known or can be seen."""
        return self.step(run, trial) if run.moved and run.rate is None else run.rate

    def conventions(self, run: Run, trial: Trial) -> tuple[float, tuple[float, ...]]:
        """Return the scale of the loss, and the scales of the penalty that are no slip."""
        scale = self.scale(run, trial)
        usual = [1.0, scale, 1.0 / trial.n, scale / trial.n]
        own = [self.penalty] if self.penalty else []
        return scale, tuple(dict.fromkeys([*own, *usual]))

    def scales(self, run: Run, trial: Trial) -> tuple[float, ...]:
        """Return the scales that are right: the student's own loss decides, if it has one."""
        scale = self.scale(run, trial)
        return (scale,) if self.stated and self.known else tuple(dict.fromkeys((scale, 1.0)))


def leeway(run: Run, tolerance: float) -> float:
    """Return how far apart is still equal, in the student's own precision."""
    return max(tolerance, 1e3 * run.precision)


def floor_of(run: Run, trial: Trial) -> float:
    """Return what is round-off: sums may cancel to it, at an optimum all of them do."""
    largest = max((float(np.abs(g).max()) for g in trial.right().values() if g.size), default=0.0)
    digits = max(1e-12, 10 * run.precision)
    return digits * max(largest, 1e-2 * float(np.abs(trial.task.y).max(initial=0.0)))


def off(
    grads: Mapping[str, Array], right: Mapping[str, Array], order: Sequence[str],
    tolerance: float, floor: float = 0.0,
) -> list[str]:  # fmt: skip
    """Return the parameters whose gradients are off, from the output backwards."""
    return [k for k in order if k in grads and not near(grads[k], right[k], tolerance, floor)]


def _own(run: Run, trial: Trial, measured: Measured) -> dict[str, Array]:
    step = measured.step(run, trial)
    return {k: g / step for k, g in run.grads.items()}


def agreed(
    run: Run, trial: Trial, measured: Measured, tolerance: float
) -> tuple[float, float] | None:
    """Return the scales of loss and penalty by which the gradients are right, if any."""
    grads, order = _own(run, trial, measured), list(trial.data)
    _, penalties = measured.conventions(run, trial)
    for scale in measured.scales(run, trial):
        for extra in penalties if trial.extra else (1.0,):
            right = trial.right(scale, extra)
            if not off(grads, right, order, leeway(run, tolerance), floor_of(run, trial)):
                return scale, extra
    return None


def passed(run: Run, trial: Trial, measured: Measured, tolerance: float) -> bool:
    """Say whether all gradients are right, under a convention that is the student's own."""
    return agreed(run, trial, measured, tolerance) is not None


# -- reports ---------------------------------------------------------------------------------------


def excused(
    name: str, run: Run, trial: Trial, measured: Measured, order: Sequence[str], tolerance: float
) -> SlipReport:
    """Return the report of a pass that is right."""
    scale, extra = agreed(run, trial, measured, tolerance) or (1.0, 1.0)
    right = trial.right(scale, extra)
    return SlipReport(
        True, name, parameters=_compared(run, trial, measured, right, order, tolerance),
        conventions=tuple(_conventions(run, trial, measured, scale, extra)),
        notes=tuple(_notes(run, trial)), layout=str(run.layout),
    )  # fmt: skip


def _compared(
    run: Run, trial: Trial, measured: Measured, right: Mapping[str, Array],
    order: Sequence[str], tolerance: float,
) -> dict[str, Compared]:  # fmt: skip
    grads, found = _own(run, trial, measured), {}
    for k in order:
        if k not in grads:
            continue
        ok = near(grads[k], right[k], leeway(run, tolerance), floor_of(run, trial))
        alike = grads[k].shape == right[k].shape
        error = float(np.abs(grads[k] - right[k]).max()) if alike else float("inf")
        size = float(np.abs(right[k]).max())
        relative = error / size if size else (0.0 if ok else float("inf"))
        found[k] = Compared(k, grads[k].shape, error, relative, ok)
    return found


def _conventions(
    run: Run, trial: Trial, measured: Measured, scale: float, extra: float
) -> list[str]:
    told = []
    if not np.isclose(scale, 1, rtol=1e-6):
        told.append(f"your loss is {_factor(scale, trial)} the model's: a convention, no slip")
    if trial.extra and not np.isclose(extra, 1, rtol=1e-6):
        told.append(f"your penalty is {_factor(extra, trial)} the model's: a convention, no slip")
    if run.moved and run.rate is None:
        step = measured.step(run, trial)
        told.append(f"gradients are read off the update; its learning rate seems to be {step:.4g}")
    elif run.moved:
        told.append(f"gradients are (before - after) / {run.rate:g}, the learning rate")
    if run.layout.columns:
        told.append("samples are columns in your code")
    return told


def _factor(scale: float, trial: Trial) -> str:
    outputs = trial.task.y.shape[-1] if trial.task.y.ndim > 1 else 1
    known = {
        "half": 0.5, "twice": 2.0, f"{trial.n} times (a sum over the samples)": trial.n,
        f"{outputs} times (a sum over the outputs)": outputs,
        f"{trial.n / 2:g} times (half of the sum over the samples)": trial.n / 2,
        f"{outputs / 2:g} times (half of the sum over the outputs)": outputs / 2,
        f"{outputs * trial.n} times (a sum over all)": outputs * trial.n,
        f"{outputs * trial.n / 2:g} times (half of the sum over all)": outputs * trial.n / 2,
        f"1/{trial.n} of": 1 / trial.n,
    }  # fmt: skip
    return next((k for k, v in known.items() if np.isclose(scale, v)), f"{scale:.6g} times")


def _notes(run: Run, trial: Trial) -> list[str]:
    told = [f"it writes to its input {k}: work on a copy" for k in run.changed]
    if run.output is not None and run.output.shape == trial.prediction.shape:
        error = np.abs(run.output - trial.prediction).max()
        if error > 1e-4 * max(np.abs(trial.prediction).max(), 1e-12):
            told.append(f"your forward pass differs from the model's by up to {error:.3g}")
    missing = [k for k in trial.data if k not in run.grads]
    if missing:
        told.append(f"it gave no gradient of {', '.join(missing)}: those are not checked")
    if run.layout.target not in ("given",):
        told.append(f"y was given to it in another shape: {run.layout.target}")
    return told


def convicted(
    name: str, run: Run, trial: Trial, measured: Measured, trails: Sequence[Trail],
    order: Sequence[str], tolerance: float, apart: Trial | None = None,
) -> SlipReport:  # fmt: skip
    """Return the report of a pass that is wrong, with what explains it.

    `apart` are other samples, on which explanations may differ that agree here.
    """
    scale, _ = measured.conventions(run, trial)
    if measured.known and not measured.stated and not trails:
        scale = 1.0
    right = trial.right(scale)
    grads = _own(run, trial, measured)
    wrong = off(grads, right, order, leeway(run, tolerance), floor_of(run, trial))
    best = trails[0] if trails else None
    proof = _proof(wrong[0], grads, right, slipped(best, trial, scale)) if wrong else None
    codes = dict.fromkeys(code for trail in trails for code in trail.codes)
    if not trial.layers:
        codes = dict.fromkeys(_by_factor(grads, right, wrong, trial))
    return SlipReport(
        False, name, wrong[0] if wrong else "", tuple(codes),
        _candidates(trails, trial, apart), not codes,
        _compared(run, trial, measured, right, order, tolerance),
        tuple(_conventions(run, trial, measured, scale, 1.0)), tuple(_notes(run, trial)),
        *_said(best, list(codes)),
        proof, str(run.layout),
    )  # fmt: skip


def _said(best: Trail | None, codes: Sequence[str]) -> tuple[str, str]:
    """Return what went wrong and what to do, in a sentence each."""
    if best is not None:
        return told(best), "; ".join(dict.fromkeys(f.slip.fix for f in best.faults))
    if codes:
        return BY_CODE[codes[0]].says, BY_CODE[codes[0]].fix
    return "none of the known slips, nor two of them, gives these numbers", ""


def _by_factor(
    grads: Mapping[str, Array], right: Mapping[str, Array], wrong: Sequence[str], trial: Trial
) -> list[str]:
    """Return the slips that are one factor on all that is wrong, for a model that is no chain."""
    n, outputs = trial.n, trial.task.y.shape[-1]
    factors = {"sign": [-1.0], "missing-output-mean": [outputs], "factor-two": [2.0, 0.5],
               "missing-batch-mean": [n], "double-batch-mean": [1 / n]}  # fmt: skip
    return [
        code
        for code, values in factors.items()
        if any(f != 1 and all(near(grads[k], f * right[k], SAME) for k in wrong) for f in values)
    ]


def told(trail: Trail) -> str:
    """Say what a trail found, in a sentence."""
    parts = []
    for code in trail.codes:
        faults = [f for f in trail.faults if f.slip.code == code]
        parts.append(f"{faults[0].slip.says}: {_places(faults)}")
    return "; and ".join(parts)


def _places(faults: Sequence[Fault]) -> str:
    written = dict.fromkeys(f.form.written for f in faults)
    layers = ", ".join(str(k) for k in sorted({f.layer for f in faults}))
    plural = "s" if "," in layers else ""
    return f"{' and '.join(written)} (in the {_PIECES[faults[0].piece]} of layer{plural} {layers})"


_PIECES = {
    "error": "error at the output", "slope": "slope", "weight": "weight gradient",
    "bias": "bias gradient", "pass": "gradient passed down", "penalty": "penalty",
}  # fmt: skip


def slipped(trail: Trail | None, trial: Trial, scale: float) -> dict[str, Array]:
    """Return the gradients with the slip in them, where they can be computed."""
    if trail is None or not trial.layers:
        return {}
    try:
        with np.errstate(all="ignore"):
            found = gradients(trial.layers, trail.faults, scale, trail.penalty or 1.0)
            return {k: np.array(v.value) for k, v in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _proof(
    name: str, grads: Mapping[str, Array], right: Mapping[str, Array], slipped: Mapping[str, Array]
) -> Proof | None:
    if grads[name].shape != right[name].shape:
        return None
    worst = np.unravel_index(np.abs(grads[name] - right[name]).argmax(), right[name].shape)
    index = tuple(int(k) for k in worst)
    made = slipped.get(name)
    fits = made is not None and made.shape == right[name].shape
    meets = fits and near(made, grads[name], 1e-5)  # type: ignore[arg-type]
    return Proof(
        name, index, float(grads[name][index]), float(right[name][index]),
        float(made[index]) if meets and made is not None else None,
    )  # fmt: skip


def _candidates(
    trails: Sequence[Trail], trial: Trial, apart: Trial | None
) -> tuple[Candidate, ...]:
    """Return every explanation, where there are several, with what tells it from the first."""
    if len(trails) < 2:
        return ()
    first = trails[0]
    said = ["", *(_tells_apart(first, other, apart or trial) for other in trails[1:])]
    return tuple(
        Candidate(t.codes, tuple(dict.fromkeys(_where(f, trial) for f in t.faults)), told(t), hint)
        for t, hint in zip(trails, said, strict=True)
    )


def _where(fault: Fault, trial: Trial) -> str:
    block = trial.layers[fault.layer - 1].block
    return block.b if fault.piece == "bias" else block.W


def _tells_apart(one: Trail, two: Trail, trial: Trial) -> str:
    """Return a value in which two explanations differ, or that they never do."""
    here, there = slipped(one, trial, 1.0), slipped(two, trial, 1.0)
    for k, a in here.items():
        b = there.get(k)
        if b is not None and a.shape == b.shape and not near(a, b, 1e-6):
            at = tuple(int(i) for i in np.unravel_index(np.abs(a - b).argmax(), a.shape))
            place = f"d_{k}[{', '.join(map(str, at))}]"
            values = f"{a[at]:.6g} by the first, {b[at]:.6g} by this one"
            return f"on {trial.n} samples of rng(6), {place} is {values}"
    return "both are the same numbers: only the code can tell"
