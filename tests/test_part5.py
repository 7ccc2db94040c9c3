"""Part 5's exercises against libraries and against what they are used for."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from autograder.masters import load_questions
from autograder.reference import games, part5


@pytest.fixture(scope="module")
def solutions() -> dict[str, object]:
    """The functions of the solution notebook."""
    space: dict[str, object] = {"torch": torch, "math": math, "itertools": itertools, "np": np, "F": F}
    for question in load_questions(5):
        if question.function:
            exec(question.solution, space)
    return space


def test_every_function_of_the_contract_is_asked_for():
    assert {question.function for question in load_questions(5)} - {None} == set(part5.FUNCTIONS)


def test_shapley_values_are_those_of_shap(solutions):
    """shap's exact explainer on a game with interactions: the players are columns, absent ones are 0."""
    shap = pytest.importorskip("shap")
    weights = torch.randn(5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64).numpy()

    def model(rows: np.ndarray) -> np.ndarray:
        return (
            np.einsum("ni,ij,nj->n", rows, weights, rows)
            + np.tanh(rows.sum(1))
            + 2 * rows[:, 0] * rows[:, 1] * rows[:, 2]
        )

    explainer = shap.explainers.Exact(model, shap.maskers.Independent(np.zeros((1, 5))))
    theirs = explainer(np.ones((1, 5))).values[0]

    def value(coalition: frozenset[int]) -> float:
        return float(model(np.array([[float(player in coalition) for player in range(5)]]))[0])

    ours = solutions["exact_shapley_values"](value, 5)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-9)


def test_the_two_definitions_agree_at_eight_players(solutions):
    game = games.table_game(torch.randn(2**8, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    torch.testing.assert_close(solutions["exact_shapley_values"](game, 8), games.exact_shapley_values(game, 8))


def test_the_axioms_hold(solutions):
    shapley = solutions["exact_shapley_values"]
    draw = torch.Generator().manual_seed(1)
    a = games.table_game(torch.randn(32, generator=draw, dtype=torch.float64))
    b = games.table_game(torch.randn(32, generator=draw, dtype=torch.float64))
    everyone = frozenset(range(5))
    assert shapley(a, 5).sum().item() == pytest.approx(a(everyone) - a(frozenset()))
    torch.testing.assert_close(shapley(lambda c: a(c) + b(c), 5), shapley(a, 5) + shapley(b, 5))
    assert shapley(lambda c: a(c - {2}), 5)[2].item() == pytest.approx(0)


def test_probability_is_minus_log_cross_entropy(solutions):
    logits = 3 * torch.randn(6, 9, generator=torch.Generator().manual_seed(2))
    ids = torch.tensor([0, 8, 3, 3, 5, 1])
    expected = torch.exp(-F.cross_entropy(logits, ids, reduction="none"))
    torch.testing.assert_close(solutions["io_probability"](logits, ids), expected)


def test_knock_outs_on_the_embedded_model(solutions):
    """All heads by their means: the answer is gone. None: the model as it is. Both exercises in their real use."""
    from helpers.interpretability import circuits, ioi

    model, tokenizer = ioi.load_ioi_model()
    batch = ioi.load_batch(tokenizer, each=10)
    difference, ablate = solutions["logit_difference"], solutions["ablate_heads"]
    means = ioi.template_means(model, batch)
    full = difference(ioi.last_logits(model, batch.ids), batch.io_ids, batch.s_ids)
    same = difference(ioi.ablated_logits(model, batch, [], ablate, means), batch.io_ids, batch.s_ids)
    torch.testing.assert_close(same, full, rtol=1e-4, atol=1e-4)
    heads = circuits.anatomy(model).all_heads()
    gone = difference(ioi.ablated_logits(model, batch, heads, ablate, means), batch.io_ids, batch.s_ids)
    assert gone.mean() < 0.15 * full.mean()
    circuit = [(0, 0), (0, 2), (1, 0), (2, 0), (2, 3)]  # the solution's
    alone = difference(
        ioi.ablated_logits(model, batch, ioi.outside(model, circuit), ablate, means), batch.io_ids, batch.s_ids
    )
    assert alone.mean() > 0.9 * full.mean()
    assert solutions["faithfulness"](alone, full) < 0.1 * full.mean()


def test_explain_with_all_orders_is_exact_shapley():
    """`explain.explain(kind="permutation")` tends to Shapley's values, on a text scored by a bag of interacting words."""
    pytest.importorskip("shap")
    from transformers import AutoTokenizer

    from helpers.hub import ASSETS
    from helpers.interpretability import explain

    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "reward")
    text = "this is not a good film"
    tokens = explain.split_text(tokenizer, text)
    assert "".join(tokens) == text

    def score(texts) -> np.ndarray:
        result = []
        for item in texts:
            words = set(str(item).replace("[MASK]", " ").split())
            result.append(
                2.0 * ("good" in words) - 1.0 * ("not" in words) - 3.0 * ({"not", "good"} <= words) + ("a" in words)
            )
        return np.array(result)

    state = np.random.get_state()[1].tolist()
    found = explain.explain(score, tokenizer, [text], evaluations=400, kind="permutation")[0]
    assert np.random.get_state()[1].tolist() == state, "the caller's draws are disturbed"
    mask = tokenizer.mask_token
    exact = games.exact_shapley_values(
        lambda kept: float(score([explain.masked_text(tokens, kept, mask)])[0]), len(tokens)
    )
    np.testing.assert_allclose(found.values, exact.numpy(), atol=0.15)
    assert found.base + found.values.sum() == pytest.approx(found.score)
    page = explain.text_plot(found)
    assert "good" in page.text
    assert "good" in page.html
    assert "np.float64" not in page.html  # browsers would draw every token black
    assert '<th scope="col">good</th>' in page.html, "shap's words can only be clicked: the keyboard has the table"
    assert "rgb(255.0, 0.0" not in page.html, "blue raises in the course's figures, and must not lower in shap's"


def test_counted_game_notices_repetition_and_strange_questions():
    def repeats(value, players):
        value(frozenset())
        value(frozenset())
        return torch.zeros(players, dtype=torch.float64)

    with pytest.raises(AssertionError, match="more than once"):
        games.verify_evaluations(repeats)
    with pytest.raises(AssertionError, match="frozenset"):
        games.verify_evaluations(lambda value, players: value((0,)))
    with pytest.raises(AssertionError, match="players are the ints 0 to 2"):
        games.verify_evaluations(lambda value, players: value(frozenset({7})))


def test_shap_masks_whole_words_too():
    """By itself shap masks the pieces of a word: "asked" without "ask" would be read as the word "ed"."""
    pytest.importorskip("shap")
    from transformers import AutoTokenizer

    from helpers.hub import ASSETS
    from helpers.interpretability import explain

    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "reward")
    text, read = "unmissable old film", set()

    def score(texts) -> np.ndarray:
        read.update(" ".join(str(item).split()) for item in texts)
        return np.array([float("unmissable" in str(item)) for item in texts])

    for kind in ("exact", "permutation", "partition"):
        found = explain.explain(score, tokenizer, [text], evaluations=50, kind=kind)[0]
        assert [token.strip() for token in found.tokens] == ["unmissable", "old", "film"]
        np.testing.assert_allclose(found.values, [1, 0, 0], atol=1e-9)
    assert {word for item in read for word in item.split()} == {"unmissable", "old", "film", "[MASK]"}


def test_colours_of_shap_become_the_courses():
    from helpers.interpretability import explain

    def turned(colour: str) -> str:
        return explain.RGB.sub(explain.recoloured, colour)

    assert turned("rgba(255.0, 13.0, 87.0, 0.5)") == "rgba(86, 180, 233, 0.5)"
    assert turned("rgb(0.0, 138.5, 250.7)") == "rgb(230, 159, 0)"
    assert turned("rgb(120,120,120)") == "rgb(120,120,120)"


def test_tokens_and_their_numbers_stand_below_each_other_without_overlap():
    from helpers.interpretability import explain

    item = explain.Explained([f"{'w' * (n % 7)}a " for n in range(60)], np.linspace(-12, 12, 60), 0.0, 0.0)
    cells = explain.laid_out(item, lambda text, size: 0.6 * size * len(text), longest=200)
    assert max(cell.line for cell in cells) > 3
    for before, after in itertools.pairwise(cells):
        room = {
            cell: max(0.6 * 11 * len(cell.token) + 7, 0.6 * 8.5 * len(f"{cell.value:+.2f}")) for cell in (before, after)
        }
        if before.line == after.line:
            assert after.centre - room[after] / 2 >= before.centre + room[before] / 2 + 6.9
        else:
            assert after.centre == pytest.approx(room[after] / 2)
            assert after.line == before.line + 1


def test_bars_of_heads_have_their_intervals():
    from helpers.interpretability import figures

    table = torch.tensor([[0.4, 0.3, 0.6], [0.1, 0.1, 0.1]])
    figure = figures.head_bars({"mean ablation": table}, ["0.2", "2.0"], title="lost", ylabel="share")
    assert "0.2 0.40 (0.30 to 0.60), 2.0 0.10." in figure.alt
    (bars,) = [own for own in figure.axes[0].containers if hasattr(own, "errorbar")]
    ends = bars.errorbar.lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, [0.3, 0.6], rtol=1e-6)


def test_words_stay_whole_and_masks_stand_apart():
    """A part of a word beside a mask would be another token than inside the word."""
    from transformers import AutoTokenizer

    from helpers.hub import ASSETS
    from helpers.interpretability import explain

    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "reward")
    text = "unmissableness, it's not dull"
    assert len(tokenizer("unmissableness", add_special_tokens=False)["input_ids"]) > 1
    pieces = explain.split_text(tokenizer, text)
    assert "".join(pieces) == text
    assert pieces[0] == "unmissableness"
    assert explain.masked_text(["this ", "is ", "not ", "dull"], frozenset({2}), "[MASK]") == "[MASK] [MASK] not [MASK]"


def test_arcs_say_which_of_two_equal_words_is_looked_at():
    from helpers.interpretability import figures

    looks = {"head 0.2": (3, torch.tensor([0.1, 0.8, 0.0, 0.1]))}
    told = figures.attention_arcs(["When", "Eric", ",", "Eric"], looks).alt
    assert "from word 4, Eric, most at word 2, Eric (0.80)" in told


def test_renamed_prompts_change_the_named_places_alone():
    from helpers.interpretability import ioi

    _, tokenizer = ioi.load_ioi_model()
    batch = ioi.load_batch(tokenizer, each=1)
    ids, third = ioi.renamed(batch, ["S1"])
    changed = ids != batch.ids
    assert changed.sum(1).tolist() == [1] * len(batch)
    assert torch.equal(changed.int().argmax(1), batch.positions["S1"])
    assert not ((third == batch.io_ids) | (third == batch.s_ids)).any()
    assert torch.equal(ids.gather(1, batch.positions["S1"][:, None])[:, 0], third)


def test_head_0_2_passes_on_a_name_and_no_place(solutions):
    """What the sample answer to question 5.7 (c) says of the names in the other order, beside another name in the same."""
    from helpers.interpretability import circuits, ioi

    model, tokenizer = ioi.load_ioi_model()
    batch = ioi.load_batch(tokenizer, each=10)
    flipped, rows = batch.ids.clone(), torch.arange(len(batch))
    flipped[rows, batch.positions["IO"]], flipped[rows, batch.positions["S1"]] = batch.s_ids, batch.io_ids
    other_name, _ = ioi.renamed(batch, ["S1", "S2"])
    run = circuits.record(model, batch.ids, patterns=False)
    whole = solutions["logit_difference"](run.logits[:, -1], batch.io_ids, batch.s_ids)

    def lost(ids) -> tuple[float, float, float]:
        told = circuits.record(model, ids, patterns=False)
        own = circuits.patched_logits(
            model, batch.ids, [(0, 2)], told.outputs, solutions["patch_heads"], batch.positions["S2"]
        )
        return ioi.share_with_interval(whole - solutions["logit_difference"](own, batch.io_ids, batch.s_ids), whole)

    assert ioi.in_words(lost(flipped)) == "0.01 (0.00 to 0.01)"
    assert lost(other_name)[0] == pytest.approx(0.49, abs=0.01)


def test_the_figure_of_the_training_has_finite_axes():
    """A square-root scale has no place for a margin below 0: the panels were blank."""
    from helpers.interpretability import figures

    tracks = {"whole model": [(0.0, 0.0, 0.1), (0.9, 0.8, 1.0)]}
    figure = figures.emergence([0, 100, 400], [0.0, 0.4, 1.0], [5.0, 2.0, 0.1], [0, 400], tracks)
    assert "loss by step: 5.00 at 0, 0.10 at 400" in figure.alt
    (bars,) = figure.axes[2].containers
    np.testing.assert_allclose(bars.lines[2][0].get_segments()[1][:, 1], [0.8, 1.0])
    for axes in figure.axes:
        assert np.isfinite(axes.transData.transform([(0.0, 0.0), (400.0, 1.0)])).all()
        assert axes.get_xlim()[0] >= 0
