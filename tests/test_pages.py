"""A model on one page: what stands on it, that it needs no network, and what it refuses."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc

pytest.importorskip("matplotlib", reason="the pictures of a report are drawn by matplotlib")

VOID = {"meta", "img", "br", "hr", "link", "input", "line", "path", "rect", "circle"}
PARTS = ["Summary", "Learning curves", "Predictions", "Hidden neurons", "Gradient flow", "Graph",
         "Walkthrough", "Source", "To do it again"]  # fmt: skip


class Balance(HTMLParser):
    """Checks that every tag is closed, in order, and collects headings and ids."""

    def __init__(self, page: str) -> None:
        HTMLParser.__init__(self)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.ids += [value for key, value in attrs if key == "id"]
        if tag == "img":
            assert dict(attrs).get("alt"), attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def xor() -> tuple[pc.Sequential, Any, Any, Any]:
    X, y = pc.data.xor()
    layers = [pc.Dense(4, "tanh"), pc.Dense(1, "sigmoid")]
    model = pc.Sequential(layers, loss="bce", metrics=["accuracy"], seed=3)
    return model, model.fit(X, y, epochs=5, verbose=0, backend="numpy"), X, y


def regression() -> tuple[pc.Sequential, Any, Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    model = pc.Sequential([pc.Dense(5, "relu"), pc.Dense(2)], loss="mse")
    y = X[:, :2] * 2
    return model, model.fit(X, y, epochs=2, verbose=0, backend="numpy"), X, y


def one_neuron() -> tuple[pc.Sequential, Any, Any, Any]:
    return pc.Sequential([pc.Dense(1)], loss="mse"), None, [[1.0], [2.0]], [[2.0], [4.0]]


def digits() -> tuple[pc.Sequential, Any, Any, Any]:
    X, y = pc.data.digits()
    model = pc.Sequential([pc.Dense(80, "relu"), pc.Dense(10, "softmax")], loss="cce")
    return model, model.fit(X, y, epochs=1, verbose=0, backend="numpy"), X[:200], y[:200]


@pytest.mark.parametrize("make", [xor, regression, one_neuron, digits])
def test_a_report_is_one_whole_page(make: Any, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    model, history, X, y = make()
    figures = plt.get_fignums()
    if model._net is not None:
        before = {k: v.copy() for k, v in model.params.items()}
    path = pc.report(model, history, X, y, tmp_path / "model.html")
    page = path.read_text("utf-8")
    found = Balance(page)
    assert not found.open and len(found.ids) == len(set(found.ids))
    assert set(found.headings) <= set(PARTS) and len(page) < 2_000_000
    assert {"Summary", "Graph", "Walkthrough", "Source", "To do it again"} <= set(found.headings)
    links = re.findall(r'(?:src|href|url\()\s*=?\s*["\']?([^"\')\s>]+)', page)
    assert all(x.startswith(("#", "data:", "http://www.w3.org/")) for x in links), links
    assert "<script" not in page and "seed" in page
    if history is not None:
        assert all(np.array_equal(model.params[k], v) for k, v in before.items())
    assert not list(tmp_path.glob(".*"))
    assert set(plt.get_fignums()) <= set(figures)


def test_a_report_of_points_in_a_plane_has_every_part(tmp_path: Path) -> None:
    model, history, X, y = xor()
    page = pc.report(model, history, X, y, str(tmp_path / "m.html"), title="<b>&").read_text(
        "utf-8"
    )
    assert Balance(page).headings == PARTS
    assert "<title>&lt;b&gt;&amp;</title>" in page
    assert "def step(" in page and "d_W1" in page


def test_what_a_report_refuses(tmp_path: Path) -> None:
    model, history, X, y = xor()
    path = tmp_path / "m.html"
    for bad in (
        lambda: pc.report(model, history, X, y, tmp_path / "m.pdf"),
        lambda: pc.report(model, [1.0], X, y, path),
        lambda: pc.report("model", history, X, y, path),
        lambda: pc.report(model, history, X[:, :1], y, path),
        lambda: pc.report(pc.Sequential([pc.Dense(1)]), None, X, y, path),
        lambda: pc.report(model, history, X, y, tmp_path / "no" / "m.html"),
    ):
        with pytest.raises((pc.PellucidError, OSError)):
            bad()
    assert not path.exists() and not list(tmp_path.iterdir())


def test_without_matplotlib_a_report_says_how_to_have_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise pc.PellucidError("no matplotlib")

    monkeypatch.setattr("pellucid.pages.library", missing)
    model, history, X, y = xor()
    page = pc.report(model, history, X, y, tmp_path / "m.html").read_text("utf-8")
    assert "pellucid[plot]" in page and "<img" not in page and "<svg" in page
