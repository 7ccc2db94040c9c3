"""What a notebook shows: figures with alternative text, coloured tokens, tables and forms."""

from __future__ import annotations

import base64
import html.parser
import itertools
import sys

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.collections import PathCollection

from helpers import devices, plots, widgets
from helpers.display import WIDTH, Page, samples_page, tell, token_page
from helpers.dpo import figures as dpo_figures
from helpers.kl.figures import METHODS, plot_frontier
from helpers.runs import History
from helpers.widgets import frontier_choice

HISTORY = History(records=[{"step": float(n), "reward": n / 10} for n in range(10)])
POINTS = [
    {"name": "α = 0", "kl": 90.0, "reward": 0.97},
    {"name": "α = 0.1", "kl": 3.0, "reward": 0.58, "method": "DPO"},
]


class Parser(html.parser.HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], "", []
        self.feed(page)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))
        if tag not in ("br", "img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def shown(monkeypatch, figure, alt=None):
    got = []
    monkeypatch.setattr("IPython.display.display", got.append)
    plots.show(figure, alt)
    return got[0]._repr_mimebundle_()


def test_a_figure_is_shown_with_its_alternative_text(monkeypatch):
    before = plt.get_fignums()  # what another test left open is not this one's
    bundle = shown(monkeypatch, plots.plot_history(HISTORY), 'reward "rises" <fast>')
    image = Parser(bundle["text/html"])
    assert image.tags == ["img"]
    assert image.attributes[0]["alt"] == 'reward "rises" <fast>'
    assert image.attributes[0]["src"].startswith("data:image/png;base64,")
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert "rises" in bundle["text/plain"]
    assert plt.get_fignums() == before, "the figure must be closed"


def test_every_plot_describes_itself():
    figures = [
        plots.plot_history({"α = 0": HISTORY, "list": [1.0, 2.0]}),
        plots.plot_histogram([0.5, 0.5], title="Rewards", xlabel="reward"),
        plots.plot_calibration([0.1, 0.9, 1.0], [0, 1, 1]),
        plot_frontier(POINTS, highlight="α = 0"),
        plots.plot_bars({"a": 1.0}, title="Bars", ylabel="reward", errors={"a": 0.1}),
    ]
    for figure in figures:
        axes = figure.axes[0]
        assert axes.get_title()
        assert axes.get_ylabel()
        assert len(figure.alt) > 25
        plt.close(figure)
    assert "0.97" in figures[3].alt
    assert "stated 0.95, true 1.00 of 2" in figures[2].alt


def test_every_figure_of_part_4_is_returned_with_its_text(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda shown: pytest.fail("a plot shows itself"))
    records = [{"step": float(n), "loss": 0.7 - n / 20, "accuracy": 0.5, "test_loss": 0.7 - n / 50} for n in range(4)]
    for name in ("accuracy", "margin", "chosen_reward", "rejected_reward", "chosen_change", "rejected_change"):
        records[0][f"test_{name}"] = 0.25
    history, rows = History(records=records), [{"name": "β = 0.1", "kl": 3.0}, {"name": "β = 0.5", "kl": 1.0}]
    told = {
        "four log-probs": dpo_figures.draw_two_roads(),
        "at 0.3 it is 50%": dpo_figures.plot_gaps([0.1, 0.9], 0.3),
        "each β of 0.1, 0.5": dpo_figures.plot_loss_and_weight(lambda m, b: b * m, lambda m, b: b * m, [0.1, 0.5]),
        "loss from 0.7 to 0.64": dpo_figures.plot_dpo_training(history),
        "own: 0.7 to 0.64": dpo_figures.plot_test_measure({"own": history}, "test_loss", title="Loss", ylabel="nats"),
        "β = 0.5: KL 1": dpo_figures.plot_panels(rows, {"kl": "KL"}, title="Several β", lines={"kl": 0.0}),
        "difference is 1.0e-01": dpo_figures.plot_overlay([1.0, 0.5], [1.0, 0.6], label="TRL"),
    }
    for text, figure in told.items():
        assert text in figure.alt
        plt.close(figure)


def test_names_of_neighbouring_points_are_readable():
    near = [
        ("PPO", 10.6, 0.817),
        ("GRPO", 7.6, 0.819),
        ("annealed", 4.8, 0.822),
        ("controlled", 4.7, 0.796),
        ("far", 70, 0.97),
    ]
    points = [{"name": name, "kl": kl, "reward": reward} for name, kl, reward in near]
    figure = plot_frontier(points)
    figure.canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_visible()]
    assert [text.get_text() for text in texts] == [name for name, _, _ in near]
    boxes = [text.get_window_extent() for text in texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    plt.close(figure)


def test_names_keep_off_points_that_have_none():
    """In "Two opinions" each run has a second point, without a name, where its name would stand."""
    figure, axes = plt.subplots()
    axes.set(xlim=(0, 10), ylim=(0, 1))
    own, second = (5.0, 0.5), (5.3, 0.46)
    plots.name_points(axes, [{"name": "α = 0.1", "kl": own[0], "reward": own[1]}], [second])
    (name,) = [text for text in axes.texts if text.get_visible()]
    x, y = axes.transData.transform(second)
    assert not name.get_window_extent().contains(x, y)
    plt.close(figure)


def test_a_method_looks_the_same_in_every_frontier():
    """Whatever stands beside it; and no two methods of one figure look alike."""
    methods = [*METHODS, "REINFORCE"]

    def looks(*shown: str) -> dict[str, tuple[str, str]]:
        points = [{"name": m, "kl": 1.0 + n, "reward": 0.5, "method": m} for n, m in enumerate(shown)]
        figure = plot_frontier(points)
        found = {c.get_label(): c.lines[0] for c in figure.axes[0].containers}
        plt.close(figure)
        return {name: (str(line.get_color()), str(line.get_marker())) for name, line in found.items()}

    together = looks(*methods)
    assert len(set(together.values())) == len(methods)
    alone = [looks(name) for name in METHODS]
    assert {name: look for found in alone for name, look in found.items()} == {name: together[name] for name in METHODS}
    assert looks("DPO", "REINFORCE + KL, fixed α")["REINFORCE + KL, fixed α"] == together["fixed α"]


def test_the_running_mean_and_band():
    mean, deviation = plots.smooth([0, 2, 4, 6], 2)
    assert mean.tolist() == [0, 1, 3, 5]
    assert deviation.tolist() == [0, 1, 1, 1]
    figure = plots.plot_history({"a": [0, 2, 4, 6]}, window=2)
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0, 1, 3, 5]
    plt.close(figure)
    with pytest.raises(ValueError, match="window"):
        plots.smooth([1], 0)


def test_the_band_of_a_share_ends_at_0():
    """A share below 0 would be drawn that no run has; what can be negative keeps its whole band."""
    mean, deviation = np.array([0.1, 0.5]), np.array([0.3, 0.3])
    low, high = plots.band_around([0.0, 0.9], mean, deviation)
    np.testing.assert_allclose(low, [0.0, 0.2])
    np.testing.assert_allclose(high, [0.4, 0.8])
    np.testing.assert_allclose(plots.band_around([-0.1, 0.9], mean, deviation)[0], [-0.2, 0.2])
    assert len(plots.band_around([], np.array([]), np.array([]))[0]) == 0


def test_calibration_points_are_the_means_of_their_bins():
    figure = plots.plot_calibration([0.1, 0.1, 0.9, 1.0], [0, 1, 1, 1], bins=2)
    points = np.concatenate([c.get_offsets() for c in figure.axes[0].collections if isinstance(c, PathCollection)])
    np.testing.assert_allclose(points, [[0.1, 0.5], [0.95, 1.0]])
    plt.close(figure)
    with pytest.raises(ValueError, match="same length"):
        plots.plot_calibration([0.1], [1, 0])


def test_tokens_are_escaped_and_coloured():
    page = token_page(["<b>", " & ", "\n", "x"], [0.0, 1.0, 0.5, float("nan")], title="<i>", label="log-prob")
    parsed = Parser(page.html)
    assert "<b>" in parsed.words
    assert parsed.tags.count("b") == 1, "the title alone is bold: a token must never become a tag"
    assert "i" not in parsed.tags
    spans = [a for tag, a in zip(parsed.tags, parsed.attributes, strict=True) if tag == "span" and "title" in a]
    assert [span["title"] for span in spans] == ["0.000", "1.000", "0.500"]
    assert len({span["style"] for span in spans}) == 3
    assert "rgb(255, 255, 255)" in spans[2]["style"]
    assert "·&·" in page.text
    assert "1.000" in page.text
    with pytest.raises(ValueError, match="2 tokens but 1"):
        token_page(["a", "b"], [1.0])


def test_samples_side_by_side():
    page = samples_page(
        {"before": ["<script>", "b\nc"], "after": ["d", "e"]},
        prompts=["p & q", "r"],
        rewards={"after": [0.25, 0.5]},
        title="Samples",
    )
    parsed = Parser(page.html)
    assert "script" not in parsed.tags
    assert parsed.tags.count("tr") == 3
    assert parsed.tags.count("td") == 4
    assert [a.get("scope") for a in parsed.attributes if "scope" in a] == ["col"] * 3 + ["row"] * 2
    assert "reward 0.250" in parsed.words
    assert "after [0.250]: d" in page.text
    assert "b ⏎ c" in page.text
    assert Parser(samples_page({"a": ["x"] * 9}, limit=2).html).tags.count("tr") == 3
    with pytest.raises(ValueError, match="differ in length"):
        samples_page({"a": ["x"]}, prompts=["p", "q"])


@pytest.fixture
def with_widgets(monkeypatch):
    got = []
    monkeypatch.setattr(widgets, "widgets_available", lambda: True)
    monkeypatch.setattr("IPython.display.display", got.append)
    return got


def find(box, kind):
    return [
        w
        for child in getattr(box, "children", ())
        for w in ([child] if type(child).__name__ == kind else find(child, kind))
    ]


def named(point):
    """A page of a point's own."""
    return Page("", f"the page of {point['name']}")


def test_the_frontier_choice(with_widgets, capsys):
    drawn: list[str | None] = []

    def drawing(points, highlight=None):
        drawn.append(highlight)
        return plot_frontier(points, highlight=highlight)

    frontier_choice(POINTS, named, drawing)
    field = find(
        with_widgets[-1] if not find(with_widgets[0], "BoundedFloatText") else with_widgets[0], "BoundedFloatText"
    )[0]
    field.value = 2
    assert drawn == ["α = 0.1", "α = 0"], "in the order of their KL"
    frontier_choice([], named, plot_frontier)
    assert "No policy" in capsys.readouterr().out


def test_the_frontier_without_widgets(monkeypatch, capsys):
    monkeypatch.setattr("IPython.display.display", lambda shown: None)
    frontier_choice([POINTS[0]], named, plot_frontier)
    assert "the page of α = 0" in capsys.readouterr().out


def test_no_widgets_without_ipywidgets_or_a_kernel(monkeypatch):
    assert not widgets.widgets_available(), "there is no notebook here"
    monkeypatch.setattr("IPython.get_ipython", lambda: type("Shell", (), {"kernel": object()})())
    assert widgets.widgets_available()
    monkeypatch.setenv("COURSE_WIDGETS", "0")
    assert not widgets.widgets_available()
    monkeypatch.delenv("COURSE_WIDGETS")
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert not widgets.widgets_available()


def test_long_lines_are_broken_between_words(capsys):
    """JupyterLab breaks what is wider than its window inside words: "0.00" and "4" are no number."""
    text = " ".join(f"word{number}" for number in range(60))
    tell(text)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= WIDTH
    assert [word for line in lines for word in line.split()] == text.split()


def test_devices(monkeypatch):
    assert devices.choose_device("cpu").type == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="no 'cuda' device"):
        devices.choose_device("cuda")
    assert "GiB" in devices.memory_report() or "unknown" in devices.memory_report()
    devices.seed_everything(3)
    first = np.random.rand()
    devices.seed_everything(3)
    assert np.random.rand() == first


def test_out_of_memory_is_explained():
    with (
        pytest.raises(devices.MemoryFullError, match=r"in_micro_batches(.|\n)*smaller batch"),
        devices.out_of_memory_help(),
    ):
        raise RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")
    with pytest.raises(RuntimeError, match="something else"), devices.out_of_memory_help():
        raise RuntimeError("something else")
