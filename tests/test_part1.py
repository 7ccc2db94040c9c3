"""Part 1's own material: the recorded quiz, its form and scores, and the transformer picture."""

from __future__ import annotations

import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch

from helpers.assets.recipes import quiz as recipe
from helpers.baseline import quiz, transformer_picture
from helpers.data import load_recorded

mpl.use("agg")

ROWS = load_recorded("quiz")["tasks"]


def log_loss(p: torch.Tensor, y: torch.Tensor) -> float:
    return torch.nn.functional.binary_cross_entropy(p.clamp(1e-4, 1 - 1e-4), y.double()).item()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


class TestRecords:
    def test_tasks_are_those_of_the_recipe(self):
        assert [(r["kind"], r["task"], r["rule"]) for r in ROWS] == [task[:3] for task in recipe.TASKS]

    def test_enough_tasks_of_mixed_kinds_and_difficulty(self):
        assert len(ROWS) >= 20
        assert len({row["kind"] for row in ROWS}) >= 5
        assert 0.3 < sum(row["right"] for row in ROWS) / len(ROWS) < 0.7

    @pytest.mark.parametrize("number", range(len(ROWS)))
    def test_judgement_follows_from_the_rule(self, number):
        assert recipe.is_right(ROWS[number]["answer"], recipe.TASKS[number][3]) == bool(ROWS[number]["right"])

    @pytest.mark.parametrize(
        ("answer", "rule", "right"),
        [
            ("It is Paris.", {"has": r"\bParis\b"}, True),
            ("It is Parish.", {"has": r"\bParis\b"}, False),
            ("positive, not negative", {"has": "positive", "lacks": "negative"}, False),
            ("3 + 4 = 7, minus 2 is 5.", {"last": ("number", "5")}, True),
            ("5 is what is left of 7", {"last": ("number", "5")}, False),
            ("1,391", {"last": ("number", "391")}, False),
            ("Ben? No, Carl.", {"first": (r"\b(?:Ben|Carl)\b", "Carl")}, False),
            ("Blue, bright blue.", {"words": 3}, True),
            ('{"name": "Ada"}', {"json": {"name": "Ada"}}, True),
            ('```{"name": "Ada"}```', {"json": {"name": "Ada"}}, False),
        ],
    )
    def test_rules(self, answer, rule, right):
        assert recipe.is_right(answer, rule) is right

    def test_unknown_rule_is_refused(self):
        with pytest.raises(ValueError, match="unknown rule"):
            recipe.is_right("x", {"like": "x"})


class TestForecasts:
    def test_template_is_a_cell_with_one_number_for_each_task(self):
        space: dict = {}
        exec(quiz.template(), space)
        assert space["my_forecasts"]() == [0.5] * len(ROWS)

    @pytest.mark.parametrize(
        ("forecasts", "message"),
        [
            (..., "no forecasts yet"),
            (None, "no forecasts yet"),
            ([0.5], "1 forecasts"),
            ([0.5] * (len(ROWS) - 1) + [1.5], f"task {len(ROWS)}"),
            ([0.5] * (len(ROWS) - 1) + [50], f"task {len(ROWS)}"),
            ([50] * len(ROWS), "write 0.5, not 50"),
            ([0, 1] + [35.5] * (len(ROWS) - 2), "write 0.5, not 50"),
            ([-50] * len(ROWS), "task 1, 2, 3"),
            ([0.5] * (len(ROWS) - 1) + [math.nan], f"task {len(ROWS)}"),
            ("0.5", "list of numbers"),
            ([True] * len(ROWS), "list of numbers"),
        ],
    )
    def test_incomplete_forecasts_are_refused_and_nothing_is_revealed(self, forecasts, message, capsys):
        with pytest.raises(ValueError, match=message):
            quiz.read_forecasts(forecasts)
        assert quiz.reveal(forecasts, log_loss) is None
        printed = capsys.readouterr().out
        assert message in printed
        assert ROWS[1]["answer"] not in printed

    def test_scores(self):
        outcomes = torch.tensor([row["right"] for row in ROWS])
        perfect = quiz.reveal(outcomes.double().tolist(), log_loss)
        assert perfect.accuracy == 1
        assert perfect.brier == 0
        assert perfect.log_loss == pytest.approx(-math.log(1 - 1e-4))
        undecided = quiz.reveal([0.5] * len(ROWS), log_loss)
        assert undecided.accuracy == 0.5
        assert undecided.brier == 0.25
        assert undecided.log_loss == pytest.approx(math.log(2))

    def test_an_unwritten_loss_is_explained(self, capsys):
        assert quiz.reveal([0.5] * len(ROWS), lambda p, y: None) is None
        assert "forecast_log_loss first" in capsys.readouterr().out

    def test_plain_form_names_every_task_and_no_answer(self, capsys):
        quiz.forecast_form(plain=True)
        printed = capsys.readouterr().out
        assert all(row["task"] in printed and row["rule"] in printed for row in ROWS)
        tasks = " ".join(row["task"] for row in ROWS)
        assert not any(row["answer"] in printed for row in ROWS if row["answer"] not in tasks)

    def test_form_has_a_field_for_each_task_and_fills_the_cell(self):
        widgets = pytest.importorskip("ipywidgets")
        form = quiz._form(widgets)
        fields = [row.children[1] for row in form.children[:-2]]
        fields[2].value = 0.9
        space: dict = {}
        exec(form.children[-1].value, space)
        assert space["my_forecasts"]() == [0.5, 0.5, 0.9] + [0.5] * (len(ROWS) - 3)
        assert f"1 of {len(ROWS)} forecasts made" in form.children[-2].value


WORDS = "token embedding,position index,add,dropout,layer norm,attention,add,feed-forward,output layer,softmax".split(
    ","
)
RIGHT = dict(zip("ABCDEFGHIJ", WORDS, strict=True))


class TestPicture:
    def test_exactly_one_word_is_right_for_each_blank(self):
        for letter in transformer_picture.LETTERS:
            right = [word for word in transformer_picture.WORDS if transformer_picture.is_right(letter, word)]
            assert right == [RIGHT[letter]]

    def test_each_wrong_word_is_answered_by_why_without_the_right_word(self):
        for letter in transformer_picture.LETTERS:
            for word in transformer_picture.WORDS:
                told = transformer_picture.feedback(letter, word)
                if word == RIGHT[letter]:
                    assert told.endswith("Right.")
                else:
                    assert told.startswith(f"{letter}: not {word}.")
                    assert len(told) > 60
                    assert f"`{RIGHT[letter]}`" not in told

    def test_the_answers_do_not_stand_in_the_module_as_text(self):
        assert not set(transformer_picture._RIGHT.values()) & set(transformer_picture.WORDS)

    def test_check_counts_and_draws(self, capsys):
        assert transformer_picture.check_words(RIGHT) == 10
        assert transformer_picture.check_words({**RIGHT, "F": "feed-forward", "K": "add"}) == 9
        printed = capsys.readouterr().out
        assert "no blank called K" in printed
        assert "F: not feed-forward" in printed
        assert transformer_picture.check_words(None) == 0

    def test_the_picture_has_alternative_text(self):
        assert "blank A" in transformer_picture.draw().alt
