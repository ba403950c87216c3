"""A model on one page: everything there is to see of it, in a file that needs no network.

report(model, history, X, y, path)  the page      SECTIONS  what stands on it, in order
"""

from __future__ import annotations

import base64
import io
import math
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import plot
from pellucid._version import __version__
from pellucid.errors import ArgumentError, PellucidError
from pellucid.explaining.html import fragment
from pellucid.explaining.style import PAGE, STYLE
from pellucid.files import write
from pellucid.graph import Array
from pellucid.history import History
from pellucid.model import Sequential
from pellucid.nn.layer import Dense, Shared
from pellucid.nn.network import Placed
from pellucid.pictures import draw
from pellucid.plot.canvas import library
from pellucid.plot.measure import classes, classifies, has_one_class
from pellucid.show.mathml import safe
from pellucid.summary import summary

DRAWN = 60  # neurons of a layer, beyond which their edges say nothing
DOTS, WIDE = 160, 80  # of an inch: dots in the file, and on the page
LOOKS = """
.pellucid.report { max-width: 62rem; }
.pellucid.report .part { margin-top: 2.4rem; }
.pellucid.report .part > .heading { font-size: 1.3rem; font-weight: 600; padding-bottom: .3rem;
  border-bottom: 2px solid var(--line); margin-bottom: .8rem; }
.pellucid.report .part > p { max-width: 44rem; margin-bottom: .7rem; }
.pellucid.report > .contents ol { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; }
.pellucid.report > .contents li { padding-left: 0; }
.pellucid.report .figures { display: flex; flex-wrap: wrap; gap: 1.2rem; align-items: flex-start; }
.pellucid.report figure { margin: 0; max-width: 100%; overflow-x: auto; }
.pellucid.report figure img { max-width: 100%; height: auto; display: block; border-radius: 4px; }
.pellucid.report figcaption { color: var(--soft); font-size: .9rem; margin-top: .3rem;
  max-width: 28rem; }
.pellucid.report pre { overflow-x: auto; background: var(--wash); padding: .8rem; margin: 0 0 .7rem;
  border-radius: 4px; font: .85rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono",
  monospace; }
.pellucid.report .facts { display: grid; grid-template-columns: max-content 1fr;
  gap: .15rem 1.2rem; }
.pellucid.report .facts dt { color: var(--soft); }
.pellucid.report .facts dd { margin: 0; overflow-wrap: anywhere; }
.pellucid.report .part .pellucid { padding: 0; max-width: none; }
@media print {
  .pellucid.report figure { break-inside: avoid; overflow: visible; }
  .pellucid.report pre { white-space: pre-wrap; overflow: visible; }
}
"""


@dataclass(frozen=True, eq=False)
class Subject:
    """What a report is about."""

    model: Sequential
    history: History | None
    X: Array
    y: Array
    plots: bool  # whether matplotlib is there

    @property
    def flat(self) -> bool:
        """Whether the inputs are points of a plane, and what lies between them is an input too."""
        return bool(self.X.shape[1:] == (2,)) and not self.model._built.selective


@dataclass(frozen=True)
class Figure:
    """A picture, what it shows in words, and a sentence below it."""

    html: str
    caption: str

    def __str__(self) -> str:
        return f"<figure>{self.html}<figcaption>{safe(self.caption)}</figcaption></figure>"


def report(model: Any, history: Any, X: Any, y: Any, path: str | Path, *, title: str = "") -> Path:
    """Write everything there is to see of a model to one HTML file, and return its path.

    Summary, learning curves, decision boundary or confusion matrix, hidden neurons, gradient flow,
    the graph, the walkthrough of one sample, the generated source, and what it takes to do it
    again. The file needs no network; without matplotlib it has no plots, and says so.
    Args: `model`; `history`, what `fit` returned, or None; `X`, `y`, samples to show it on;
    `path`, which ends in .html; `title`.
    Raises: ArgumentError for another ending, no loss or no samples; as `fit` does for samples.

        history = model.fit(X, y, epochs=100)
        pc.report(model, history, X, y, "model.html")
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"a report is an HTML file, not {path.name!r}", 'path="model.html"')
    if not isinstance(model, Sequential):
        raise ArgumentError(f"a report is about a model, not {type(model).__name__}")
    if history is not None and not isinstance(history, History):
        raise ArgumentError(
            f"history is a {type(history).__name__}", "give what fit returned, or None"
        )
    X, y = model._both(X, y)
    model._batch(X, y)  # refuses what cannot be shown, before anything is drawn
    subject = Subject(model, history, np.asarray(X), np.asarray(y), _has_plots())
    page = _page(subject, title or f"{' → '.join(_widths(model))} network")
    write(path, [page.encode()])
    return path


def _has_plots() -> bool:
    try:
        library()
    except PellucidError:
        return False
    return True


def _widths(model: Sequential) -> list[str]:
    net = model._built
    shapes = [net.input_shape, *net.shapes]
    widths = ["×".join(map(str, shape)) for shape in shapes]
    return [w for k, w in enumerate(widths) if not k or w != widths[k - 1]]


def _page(subject: Subject, title: str) -> str:
    parts = [(name, "".join(make(subject))) for name, make in SECTIONS.items()]
    parts = [(name, inner) for name, inner in parts if inner]
    links = "".join(f'<li><a href="#part-{k}">{name}</a></li>' for k, (name, _) in enumerate(parts))
    sections = "\n".join(
        f'<section class="part" id="part-{k}"><h2 class="heading">{name}</h2>\n{inner}</section>'
        for k, (name, inner) in enumerate(parts)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{safe(title)}</title>
<style>{STYLE}{PAGE}{LOOKS}</style>
</head>
<body>
<main class="pellucid report">
<h1 class="title">{safe(title)}</h1>
<nav class="contents" aria-label="Contents"><ol>{links}</ol></nav>
{sections}
</main>
</body>
</html>
"""


# -- sections --------------------------------------------------------------------------------------


def _summary(subject: Subject) -> Iterator[str]:
    model = subject.model
    found = model.evaluate(subject.X, subject.y)
    scores = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
    yield f"<p>On {len(subject.X):,} samples: {safe(scores)}.</p>"
    yield _pre(summary(model._built, model.dtype, model.optimizer), "layers and parameters")
    yield _pre(str(model.shapes()), "shapes of a training step")
    if not subject.plots:
        yield '<p class="note">Curves and pictures need matplotlib: '
        yield "<code>pip install &quot;pellucid[plot]&quot;</code>.</p>"


def _curves(subject: Subject) -> Iterator[str]:
    if subject.history is not None and subject.history.epochs and subject.plots:
        ends = "; ".join(f"{k} {v[-1]:.4g}" for k, v in subject.history.items())
        said = f"Loss and metrics by epoch; at the end: {ends}"
        yield _figures([_picture(plot.history(subject.history), said)])


def _predictions(subject: Subject) -> Iterator[str]:
    if not subject.plots:
        return
    model, X, y = subject.model, subject.X, subject.y
    found = []
    if subject.flat and _has_one_color(subject):
        found.append(_picture(plot.boundary(model, X, y), "What it predicts all over the plane"))
    if _has_classes(subject):
        found.append(_picture(plot.confusion(model, X, y), "True classes against predicted ones"))
        side = _side(subject)
        if side and classes(model, X, y).wrong.any():
            axes = plot.misclassified(model, X, y, shape=(side, side))
            found.append(_picture(axes, "Samples that it takes for something else"))
    yield _figures(found)


def _target(subject: Subject) -> Array:
    return subject.model._batch(subject.X, subject.y).Y


def _has_classes(subject: Subject) -> bool:
    target = _target(subject)
    return classifies(subject.model, target) and has_one_class(subject.model, target)


def _has_one_color(subject: Subject) -> bool:
    """Whether a prediction is one class or one value."""
    return _has_classes(subject) or subject.model._built.output_shape in ((), (1,))


def _side(subject: Subject) -> int:
    """Return the side of square images of at least 8 by 8, or 0."""
    pixels = int(np.prod(subject.X.shape[1:]))
    side = math.isqrt(pixels)
    return side if side >= 8 and side * side == pixels else 0


def _neurons(subject: Subject) -> Iterator[str]:
    model, X, y = subject.model, subject.X, subject.y
    dense = _dense(model)
    hidden = [one.number for one in dense[:-1] if len(one.shape) == 1 and one.shape != (1,)]
    if not subject.plots or not hidden:
        return
    found = []
    if subject.flat:
        axes = plot.neurons(model, X, y, layer=hidden[0])
        found.append(_picture(axes, "What each hidden neuron responds to"))
    side = _side(subject)
    if side and dense[0] is model._built.leaves[0]:
        axes = plot.weights(model, shape=(side, side))
        found.append(_picture(axes, "The weights of the first neurons, as images"))
    if _has_classes(subject) or not classifies(model, _target(subject)):
        said = "The samples as the last hidden layer sees them"
        found.append(_picture(plot.representation(model, X, y, layer=hidden[-1]), said))
    yield _figures(found)


def _dense(model: Sequential) -> list[Placed]:
    """Return the dense layers, wherever they are, each in its place."""
    plain = ((one, one.layer) for one in model._built.leaves)
    return [o for o, x in plain if isinstance(x.layer if isinstance(x, Shared) else x, Dense)]


def _flow(subject: Subject) -> Iterator[str]:
    if subject.plots:
        model, X, y = subject.model, subject.X, subject.y
        said = "How large the gradient is that arrives at each layer"
        found = [_picture(plot.gradient_flow(model, X, y), said)]
        for of in ("activations", "gradients"):
            axes = plot.histograms(model, X, y, of=of)
            found.append(_picture(axes, f"How the {of} are distributed, layer by layer"))
        yield _figures(found)


def _graph(subject: Subject) -> Iterator[str]:
    model, X, y = subject.model, subject.X[:1], subject.y[:1]
    found = [Figure(draw(model, X, y).svg, "One sample on its way through the layers, and back")]
    if all(width.isdigit() and int(width) <= DRAWN for width in _widths(model)):
        with suppress(ArgumentError):  # some layers are not drawn as neurons
            picture = draw(model, X, y, style="network")
            found.insert(0, Figure(picture.svg, "Neurons and weights, at the first sample"))
    yield _figures(found)


def _walkthrough(subject: Subject) -> Iterator[str]:
    few = subject.model._built.least  # one, but for layers that look at a batch as a whole
    walk = subject.model.explain(subject.X[:few], subject.y[:few])
    said = "sample" if few == 1 else f"{few} samples"
    yield f"<p>Every number of one training step on the first {said}.</p>"
    yield f"<details><summary>Show all {len(walk)} steps</summary>{fragment(walk)}</details>"


def _source(subject: Subject) -> Iterator[str]:
    yield "<p>The step that trains it, as NumPy code; it runs as it stands.</p>"
    yield _pre(subject.model.source(), "the training step", folded=True)


def _again(subject: Subject) -> Iterator[str]:
    model, history = subject.model, subject.history
    facts = {
        "model": repr(model),
        "seed": str(model.seed),
        "precision": model.dtype.name,
        "samples": f"X {subject.X.shape}, y {subject.y.shape}",
        "training": _training(history),
        "steps taken": f"{model._numbers.steps:,}",
        "pellucid": __version__,
        "NumPy": np.__version__,
        "Python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.machine()}",
    }
    yield "<p>The same seed on the same data gives the same weights.</p>"
    rows = "".join(f"<dt>{k}</dt><dd>{safe(v)}</dd>" for k, v in facts.items())
    yield f'<dl class="facts">{rows}</dl>'


def _training(history: History | None) -> str:
    if history is None:
        return "not recorded"
    stopped = f"; {history.stopped}" if history.stopped else ""
    told = f"{history.epochs:,} epochs in {history.seconds:.3g} s, computed by {history.backend}"
    return told + stopped


SECTIONS: dict[str, Callable[[Subject], Iterator[str]]] = {
    "Summary": _summary,
    "Learning curves": _curves,
    "Predictions": _predictions,
    "Hidden neurons": _neurons,
    "Gradient flow": _flow,
    "Graph": _graph,
    "Walkthrough": _walkthrough,
    "Source": _source,
    "To do it again": _again,
}

# -- pieces ----------------------------------------------------------------------------------------


def _figures(figures: Sequence[Figure]) -> str:
    return f'<div class="figures">{"".join(map(str, figures))}</div>' if figures else ""


def _picture(axes: Any, caption: str) -> Figure:
    """Return a plot as an image within the page, and let go of it."""
    figure = np.ravel(axes)[0].figure
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS)
    library().pyplot.close(figure)
    data = base64.b64encode(file.getvalue()).decode()
    size = f'width="{figure.get_figwidth() * WIDE:.0f}"'
    source = f'src="data:image/png;base64,{data}"'
    return Figure(f'<img alt="{safe(caption)}" {size} {source}>', caption)


def _pre(words: str, label: str, folded: bool = False) -> str:
    told = f'<pre tabindex="0" role="region" aria-label="{safe(label)}">{safe(words)}</pre>'
    if not folded:
        return told
    return f"<details><summary>Show {safe(label)}</summary>{told}</details>"
