"""The tests of the exercises have no holes: no mutant of a fixed sample lives and breaks the contract.

`python -m tests.mutation` judges all mutants; its table stands in `docs/mutation.md`.
"""

from __future__ import annotations

import dataclasses
import inspect
import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.mutation import judging, mutator, oracle, tally
from tests.mutation.__main__ import records, run
from tests.mutation.mutator import Mutant
from tests.mutation.truths import ORACLES, WITHOUT
from tests.test_variants import VARIANTS, exercises

EVERY = 80  # the sample: one edit in so many
ENOUGH = 5  # mutants of an exercise in that sample
LENIENT: tuple[str, ...] = ()  # wrong answers that the oracle accepts


# --- every exercise takes part --------------------------------------------------------------------------------------


def test_every_exercise_has_variants_an_oracle_and_mutants() -> None:
    names = set(exercises())
    assert names == set(ORACLES) | set(WITHOUT), "each exercise needs an oracle in tests/mutation/truths, or a reason"
    assert not set(ORACLES) & set(WITHOUT)
    assert names == {variant.function for variant in VARIANTS}
    assert not [name for name in ORACLES if len(judging.mutants(name, EVERY)) < ENOUGH]


def test_the_truth_takes_the_arguments_of_the_exercise() -> None:
    wrong = [
        name for name, judged in ORACLES.items() if not judging.parameters(name) <= oracle.parameters_of(judged.truth)
    ]
    assert not wrong


# --- the sample -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ORACLES)
def test_exercise(function: str) -> None:
    """The oracle agrees with the variants, and no mutant of the sample is a hole: one test, since both need its inputs."""
    judged, parameters = ORACLES[function], judging.parameters(function)
    for title, source in judging.seeds_of(function):
        answer: Any = judging.defined(function, source)[function]
        broken = oracle.verdict(judged, answer, parameters)
        assert broken is None, f"the oracle rejects a right answer, {title!r}: {broken}"
    accepted = []
    for variant in [variant for variant in VARIANTS if variant.function == function and not variant.right]:
        try:
            answer = judging.defined(function, variant.source)[function]
        except Exception:
            continue  # it cannot even be defined
        if oracle.verdict(judged, answer, parameters) is None:
            accepted.append(variant.name)
    assert accepted == [name for name in LENIENT if name.startswith(f"{function}-")], (
        "wrong answers that the oracle accepts"
    )
    verdicts = list(judging.judge_all(judging.mutants(function, EVERY)))
    faults = [f"{mutant.name}: {verdict.faults}" for mutant, verdict in verdicts if verdict.faults]
    assert not faults, "the judge failed"
    holes = [f"{m.name}: {v.oracle}\n{m.source}" for m, v in verdicts if v.kind == "hole"]
    assert not holes, "no test sees that these are wrong:\n" + "\n\n".join(holes)


# --- the mutator ----------------------------------------------------------------------------------------------------

SAMPLE = '''
def answer(x, mask, k=2, beta=0.5):
    """Everything that the operators change."""
    if k <= 0 and len(x) > 1:
        raise ValueError("no k")
    with torch.no_grad():
        total = x - beta
    for part in x[:, 1:]:
        total += part.sum(dim=-1, keepdim=True)
        if part is None:
            break
    while k > 9:
        k = k - 1
    rows = [float("nan") if k else row for row in x[:, 0] if row.any()]
    return torch.where(mask, total, -x.clamp(0, 1))
'''
MADE = {  # an operator, and lines that are in one of its mutants
    "input bounded": "    x = x.clamp(-100, 100)", "input cast": "    x = x.half()", "input changed": "    x = x.flip(0)",
    "input detached": "    x = x.detach()", "input reshaped": "    x = x.squeeze(0)",
    "input changed in place": "        x.nan_to_num_()", "early return": "    return torch.zeros_like(x)",
    "number rounded": "    beta = int(beta)", "number changed": "    beta = abs(beta)", "list changed": "    k.sort()",
    "seed set": "    torch.manual_seed(0)", "generator forgotten": "    generator = None",
    "no_grad added": "@torch.no_grad()", "statement deleted": "        pass",
    "branch always": "    rows = [float('nan') for row in x[:, 0] if row.any()]",
    "branch never": "    rows = [row for row in x[:, 0] if row.any()]",
    "branches exchanged": "        if not part is None:", "context dropped": "    total = x - beta",
    "loop once": "        break", "loop cut or reversed": "    for part in list(x[:, 1:])[::-1]:",
    "condition always": "    while True:", "other error": "        raise TypeError('other')",
    "result wrapped": "    return torch.where(mask, total, -x.clamp(0, 1)).item()",
    "result detached": "    return torch.where(mask, total, -x.clamp(0, 1)).detach()",
    "result cast": "    return torch.where(mask, total, -x.clamp(0, 1)).float()",
    "result reshaped": "    return torch.where(mask, total, -x.clamp(0, 1)).squeeze()",
    "result reduced": "    return torch.where(mask, total, -x.clamp(0, 1)).mean()",
    "result bounded": "    return torch.where(mask, total, -x.clamp(0, 1)).nan_to_num()",
    "result changed": "    return -torch.where(mask, total, -x.clamp(0, 1))", "result None": "    return None",
    "text replaced": "    rows = [float('inf') if k else row for row in x[:, 0] if row.any()]",
    "constant ±1": "    while k > 10:", "constant 0": "    while k > 0:", "constant doubled": "    while k > 18:",
    "constant negated": "    while k > -9:", "constant scaled": "def answer(x, mask, k=2, beta=0.51):",
    "truth value turned round": "        total += part.sum(dim=-1, keepdim=False)",
    "`and` for `or`": "    if k <= 0 or len(x) > 1:", "one side alone": "        total = beta",
    "sides exchanged": "        total = beta - x", "other operator": "        total = x + beta",
    "in place": "        total = x.sub_(beta)", "sign or `not` dropped": "        total += part.sum(dim=1, keepdim=True)",
    "other comparison": "    if k < 0 and len(x) > 1:",
    "mask turned round": "    return torch.where(~mask, total, -x.clamp(0, 1))",
    "mask dropped": "    return torch.where(torch.ones_like(mask), total, -x.clamp(0, 1))",
    "mask as numbers": "    return torch.where(mask.float(), total, -x.clamp(0, 1))",
    "other method": "        total += part.mean(dim=-1, keepdim=True)", "other function": "    if k <= 0 and sum(x) > 1:",
    "call dropped": "        total += part", "argument alone": "        total += -1",
    "argument dropped": "    return torch.where(total, -x.clamp(0, 1))",
    "arguments exchanged": "    return torch.where(mask, -x.clamp(0, 1), total)",
    "keyword dropped": "        total += part.sum(dim=-1)", "index dropped": "    for part in x:",
    "slice moved": "    for part in x[:, :]:",
    "index replaced": "    rows = [float('nan') if k else row for row in x[:, :] if row.any()]",
    "item dropped": "    for part in x[:,]:", "items exchanged": "    for part in x[1:, :]:",
    "condition dropped": "    rows = [float('nan') if k else row for row in x[:, 0]]",
    "other variable": "    while beta > 9:", "detach added": "        total = x.detach() - beta",
    "cast added": "        total = x.half() - beta", "squeeze added": "        total = x.squeeze() - beta",
    "value bounded": "        total = x.clamp(min=-100) - beta", "sign changed": "        total = x.abs() - beta",
    "assigned, not added": "        total = part.sum(dim=-1, keepdim=True)", "`break` for `continue`": "            continue",
}  # fmt: skip


def sample_mutants() -> list[Mutant]:
    return mutator.mutants_of("answer", [("sample", SAMPLE)], ["x", "mask"])


def test_each_operator_makes_its_mutant() -> None:
    found = sample_mutants()
    assert {mutant.operator for mutant in found} == set(MADE), "an operator makes nothing, or has no line here"
    missing = [
        operator
        for operator, line in MADE.items()
        if not any(m.operator == operator and line in m.source.splitlines() for m in found)
    ]
    assert not missing


def test_mutants_are_different_each_time_the_same_and_no_answers() -> None:
    found = sample_mutants()
    assert found == sample_mutants()
    assert len({mutant.source for mutant in found}) == len({mutant.key for mutant in found}) == len(found)
    plain = mutator.normal_form(SAMPLE)
    with_docstring = mutator.normal_form(SAMPLE.replace("x, mask", "x: Tensor, mask: Tensor"))
    assert mutator.ast.unparse(plain) == mutator.ast.unparse(with_docstring)
    assert mutator.ast.unparse(plain) not in {mutant.source for mutant in found}


def test_what_libraries_hang_on_the_nodes_of_all_trees_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """One `ast.Load()` serves every tree of a process; it once led from each mutant to a whole module, copied every time."""
    plain = sample_mutants()

    class Foreign:
        def __deepcopy__(self, memo: dict[int, Any]) -> None:
            raise AssertionError("a foreign tree is copied")

    def context(text: str) -> Any:
        statement: Any = mutator.ast.parse(text).body[0]
        return statement.value.ctx

    shared = context("x")
    assert shared is context("y")
    monkeypatch.setattr(shared, "parent", Foreign(), raising=False)
    assert sample_mutants() == plain


# --- the oracle -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [name for name, judged in ORACLES.items() if judged.gradients])
def test_gradients_of_the_truth_are_those_of_finite_differences(function: str) -> None:
    judged = ORACLES[function]
    tried = 0
    for _, inputs in judged.inputs(torch.Generator().manual_seed(1)):
        floats = [value for value in inputs.values() if isinstance(value, torch.Tensor) and value.is_floating_point()]
        ordinary = all(bool(torch.isfinite(x).all()) and float(x.abs().max()) < 30 and x.numel() < 40 for x in floats)
        repeated = any(len(x.unique()) < x.numel() for x in floats[:1])
        if not ordinary or repeated or not set(inputs) <= judging.parameters(function):
            continue
        fresh = oracle.written(inputs, torch.float64, judged.gradients)

        def of_gradients(*values: torch.Tensor, fresh: dict[str, Any] = fresh) -> Any:
            given = dict(zip(judged.gradients, values, strict=True))
            numbers = [v for v in oracle.items(judged.truth(**{**fresh, **given})) if v.requires_grad]
            return tuple(torch.where(torch.isfinite(v), v, 0.0) for v in numbers) or values

        assert torch.autograd.gradcheck(of_gradients, [fresh[name] for name in judged.gradients])
        tried += 1
        if tried == 4:
            break
    assert tried >= 3


PICKED = "io, s = logits.gather(1, io_ids[:, None])[:, 0], logits.gather(1, s_ids[:, None])[:, 0]"
RULES = {  # answers to `logit_difference` that break one rule each, and a word of what is said of them
    "dtype": "return (io - s).float()",
    "shape": "return (io - s)[:, None]",
    "number": "return s - io",
    "gradient": "return io - s.detach()",
    "in place": "logits.data += 1; return io - s",
    "devices": "return io - s + torch.zeros(len(io), dtype=io.dtype)",
    "IndexError": "return io[99] - s",
}


@pytest.mark.parametrize("rule", RULES)
def test_the_oracle_names_the_broken_rule(rule: str) -> None:
    source = f"def logit_difference(logits, io_ids, s_ids):\n    {PICKED}\n    {RULES[rule]}"
    answer: Any = judging.defined("logit_difference", source)["logit_difference"]
    broken = oracle.verdict(ORACLES["logit_difference"], answer, judging.parameters("logit_difference"))
    assert broken
    assert rule in broken


# --- the runner -----------------------------------------------------------------------------------------------------


def test_a_living_mutant_that_breaks_the_contract_is_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    question, earlier = exercises()["faithfulness"]
    monkeypatch.setitem(exercises(), "faithfulness", (dataclasses.replace(question, tests=()), earlier))
    verdict = judging.judge(
        "faithfulness", "def faithfulness(circuit, full): return (full.mean() - circuit.mean()).item()"
    )
    assert verdict.kind == "hole"
    verdict = judging.judge("faithfulness", question.solution)
    assert verdict.kind == "equivalent"


ENDS = {
    "never": "while True: pass",
    "at once": "import os; os._exit(3)",
    "by too much memory": "torch.ones(10**12)",
    "never, whatever is raised": "\n    while True:\n        try: raise ValueError\n        except BaseException: continue",
}


def test_mutants_do_not_harm_the_runner() -> None:
    sources = [f"def faithfulness(circuit, full): {end}" for end in ENDS.values()]
    right = exercises()["faithfulness"][0].solution
    waiting = [Mutant("faithfulness", "sample", end, 1, source) for end, source in zip(ENDS, sources, strict=True)]
    waiting.append(Mutant("faithfulness", "sample", "right", 1, right))
    kinds = {mutant.operator: verdict.kind for mutant, verdict in judging.judge_all(waiting, seconds=1.0)}
    assert kinds == {**dict.fromkeys(ENDS, "public"), "right": "equivalent"}


def test_a_child_that_waits_is_an_error_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no killed mutant: nothing was found out about it."""
    monkeypatch.setattr(judging, "PATIENCE", 2.0)
    waits = Mutant("faithfulness", "sample", "waits", 1, "import time; time.sleep(1000)")
    with pytest.raises(TimeoutError, match="neither computes nor answers"):
        list(judging.judge_all([waits]))
    assert not multiprocessing.active_children()


def test_a_run_goes_on_where_it_was_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "build" / "mutation.jsonl"
    first = run(["faithfulness"], 60, resume=False, path=path)
    assert len(first) > 5
    assert list(records(path)) == first
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:3]) + lines[3][:20], encoding="utf-8")
    judged = []
    whole = judging.judge_all
    monkeypatch.setattr("tests.mutation.__main__.judge_all", lambda turn: whole(judged.extend(turn) or turn))
    again = run(["faithfulness"], 60, resume=True, path=path)
    assert [mutant.key for mutant in judged] == [record["key"] for record in first[3:]]
    assert again == first == list(records(path))


def test_the_table_adds_up() -> None:
    kinds = ["public", "public", "hidden", "equivalent", "hole"]
    found = [{"function": "faithfulness", "kind": kind, "too_strict": kind == "hidden"} for kind in kinds]
    rows = tally.rows([*found, {"function": "kl_divergence", "kind": "public", "too_strict": False}])
    assert rows == [
        ["`kl_divergence`", "1", "1", "0", "0", "0", "0"],
        ["`faithfulness`", "5", "2", "1", "1", "1", "1"],
        ["all", "6", "3", "1", "1", "1", "1"],
    ]


def test_the_table_in_the_docs_is_of_these_exercises() -> None:
    page = tally.PAGE.read_text(encoding="utf-8")
    found = Counter(line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| `"))
    assert found == Counter(f"`{name}`" for name in [*ORACLES, *WITHOUT])
    assert all(reason in page for reason in WITHOUT.values())
    assert inspect.getdoc(mutator)
