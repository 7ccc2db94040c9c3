"""Claims: what a notebook says of its run is recorded, and the table says where it holds."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from autograder import cli
from autograder.rehearse import over_seeds
from autograder.rehearse.run import Execution
from helpers.devices import run_seed
from helpers.notebook import claims

from .test_run_and_report import small, write  # noqa: F401 (a fixture)

SENTENCE = "the reward rises"
CELLS = (
    "import json, os",
    "seed = int(os.environ['COURSE_SEED'])",
    "row = {'sentence': 'the reward rises', 'holds': seed < 2, 'value': str(seed)}",
    "json.dump({'1_rises': row}, open(os.environ['COURSE_CLAIMS'], 'w'))",
    "json.dump({'reward': seed / 4}, open(os.environ['COURSE_HEADLINES'], 'w'))",
)


@pytest.fixture(autouse=True)
def _no_claims_before(monkeypatch, tmp_path):
    monkeypatch.setattr(claims, "_made", {})
    monkeypatch.setenv(claims.RECORD, str(tmp_path / "claims.json"))


def test_a_claim_is_shown_and_recorded(capsys, tmp_path):
    """Readers see whether a sentence holds and the figure that decides; the record has the same."""
    claims.claim("1_rises", SENTENCE, True, 0.123456)
    claims.claim("1_falls", "the KL falls", False)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "✓ As described: the reward rises (here: 0.123)."
    assert said[1].startswith("✗ Not so in this run: the KL falls. ")
    record = json.loads((tmp_path / "claims.json").read_text())
    assert record["1_rises"] == {"sentence": SENTENCE, "holds": True, "value": "0.123"}
    assert record["1_falls"]["holds"] is False


def test_a_cell_that_runs_again_replaces_its_claim_and_two_sentences_of_one_name_are_refused(tmp_path):
    """A table with one of two sentences would say nothing about the other."""
    claims.claim("1_rises", SENTENCE, True)
    claims.claim("1_rises", SENTENCE, False)
    assert json.loads((tmp_path / "claims.json").read_text())["1_rises"]["holds"] is False
    with pytest.raises(ValueError, match="another sentence"):
        claims.claim("1_rises", "the reward falls", True)


def test_without_a_record_nothing_is_written(monkeypatch, tmp_path, capsys):
    """In a student's notebook a claim prints, and leaves no file."""
    monkeypatch.delenv(claims.RECORD)
    claims.claim("1_rises", SENTENCE, True)
    assert "As described" in capsys.readouterr().out
    assert not (tmp_path / "claims.json").exists()


def test_the_seed_of_a_run_is_the_notebooks_unless_the_environment_has_one(monkeypatch):
    monkeypatch.delenv("COURSE_SEED", raising=False)
    assert run_seed(1) == 1
    monkeypatch.setenv("COURSE_SEED", "")
    assert run_seed(1) == 1
    monkeypatch.setenv("COURSE_SEED", "0")
    assert run_seed(1) == 0


def test_claims_are_collected_over_seeds_without_repeating_a_run(small, monkeypatch):  # noqa: F811
    """One run for each seed, kept apart from `course run`'s own, and the page tells where a sentence fails."""
    monkeypatch.setattr(over_seeds, "FOLDER", small / "claims")
    write(small, "\n".join(CELLS))
    found = over_seeds.run_everywhere([1], [1, 2], ["tiny"])
    assert not (small / "run").exists()
    assert [runs[1].cached for runs in over_seeds.run_everywhere([1], [1, 2], ["tiny"]).values()] == [True, True]
    assert over_seeds.failures(found) == [f"part 1, tiny, seed 2: {SENTENCE} (here: 2)"]
    text = over_seeds.page(over_seeds.merge({}, found), "course claims")
    assert "| claim | tiny, seed 1 | tiny, seed 2 |" in text
    assert f"| {SENTENCE} | ✓ 1 | ✗ 2 |" in text
    assert "| reward | 0.25 | 0.5 |" in text


def test_a_run_that_fails_is_told(small, monkeypatch):  # noqa: F811
    monkeypatch.setattr(over_seeds, "FOLDER", small / "claims")
    write(small, "raise RuntimeError('no memory')")
    found = over_seeds.run_everywhere([1], [0], ["tiny"])
    assert over_seeds.failures(found) == ["part 1, tiny, seed 0: the run failed: RuntimeError: no memory"]
    assert "The run failed with tiny, seed 0." in over_seeds.page(over_seeds.merge({}, found), "course claims")


def test_the_command_writes_the_page_and_fails_where_a_claim_does(monkeypatch, tmp_path):
    run = Execution(1, True, 1.0, False, "tiny", "", claims={"a": {"sentence": SENTENCE, "holds": False, "value": "3"}})
    monkeypatch.setattr(over_seeds, "run_everywhere", lambda *places, **options: {("tiny", 0): {1: run}})
    monkeypatch.setattr(over_seeds, "RESULTS", tmp_path / "results.md")
    done = CliRunner().invoke(cli.app, ["claims", "--part", "1", "--seed", "0"])
    assert done.exit_code == cli.WRONG
    assert "✗ 3" in (tmp_path / "results.md").read_text()
    assert "`course claims --part 1 --seed 0 --preset tiny`" in (tmp_path / "results.md").read_text()


def ran(preset, part, sentence, holds=True, seconds=120.0):
    claims_ = {"1_rises": {"sentence": sentence, "holds": holds, "value": "3"}}
    return Execution(part, True, seconds, False, preset, "key", {"reward": 0.5}, claims_)


def test_a_later_call_adds_its_column_and_keeps_the_others(tmp_path, monkeypatch):
    """A preset may take hours: nobody runs all of them again for one column; the record is the page's only source."""
    monkeypatch.setattr(over_seeds, "FOLDER", tmp_path / "claims")
    page = tmp_path / "results.md"
    over_seeds.write(
        {("smollm2", 0): {1: ran("smollm2", 1, SENTENCE, holds=False, seconds=600)}}, "course claims", page
    )
    over_seeds.write({("tiny", 0): {2: ran("tiny", 2, SENTENCE)}}, "course claims", page)
    over_seeds.write({("tiny", 0): {1: ran("tiny", 1, SENTENCE)}}, "course claims", page)
    text = page.read_text()
    assert "| claim | tiny, seed 0 | smollm2, seed 0 |" in text, "in the order of the presets, not of the calls"
    assert f"| {SENTENCE} | ✓ 3 | ✗ 3 |" in text
    assert "| minutes | 2 | 10 |" in text
    assert "## Part 2" in text
    over_seeds.write({("tiny", 0): {1: ran("tiny", 1, "the reward doubles")}}, "course claims", page)
    text = page.read_text()
    assert "| the reward doubles | ✓ 3 |  |" in text, "the other preset's run has not checked the new sentence"
    assert f"| {SENTENCE} |  | ✗ 3 |" in text


def test_points_of_a_part_that_ran_again_replace_the_former_ones_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(over_seeds, "FOLDER", tmp_path)
    runs = over_seeds.folder_of(("tiny", 0)) / "work" / "runs"
    runs.mkdir(parents=True)
    (runs / "frontier.json").write_text(json.dumps([{"name": "α = 0", "kl": 1.0}]))
    before = {("tiny", 0): over_seeds.Record(points=[{"name": "α = 0", "kl": 9.0}, {"name": "DPO", "kl": 2.0}])}
    merged = over_seeds.merge(before, {("tiny", 0): {}})
    assert {point["name"]: point["kl"] for point in merged["tiny", 0].points} == {"α = 0": 1.0, "DPO": 2.0}


def test_the_page_in_the_docs_is_the_record_s(tmp_path):
    """Nobody edits the table by hand: written from its record anew, it is the same."""
    text = over_seeds.RESULTS.read_text()
    command = text.split("last by `")[1].split("`")[0]
    assert over_seeds.page(over_seeds.load(over_seeds.RESULTS.with_suffix(".json")), command) == text


def test_the_page_has_a_table_of_all_trained_policies():
    """J is taken at the preset's price for every policy, the optimum stands there at this price; what a seed lacks is a dash."""
    policy = {"name": "α = 0", "kl": 10.0, "reward": 0.9, "second_reward": 0.5, "length": 20.0, "repetition": 0.25}
    best = [{"name": f"π*, α = {a}", "kl": 1.0, "reward": 0.8, "method": "optimum π*", "alpha": a} for a in (0.03, 0.1)]
    points = {("tiny", 0): [policy, *best], ("tiny", 1): [{"name": "α = 0", "kl": 20.0, "reward": 0.8, "length": 24.0}]}
    text = "\n".join(over_seeds.recipes("tiny", points))
    assert "| α = 0 | 0.600, 0.200 | 0.9, 0.8 | 10, 20 | 0.5, – | 20.0, 24.0 | 0.25, – |" in text
    assert "J at α = 0.03" in text
    assert "seeds 0, 1" in text
    assert "| π*, α = 0.03 | 0.770, – |" in text, "the second seed has none: its place is a dash"
    assert "π*, α = 0.1 " not in text
    assert over_seeds.recipes("tiny", {("tiny", 0): []}) == []
