"""The training loop around a student's step: batches in, history out, with checkpoints that resume exactly."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .data import batch_at
from .devices import out_of_memory_help
from .evaluation import batch_seed, repetition
from .generation import Rollout, Sampler, generate
from .runs import Checkpoint, History, Record, fingerprint, load_points, save_point

__all__ = ["History", "batch_source", "load_points", "rollout_source", "save_point", "train"]

BAR_COLUMNS = ("loss", "reward", "kl", "accuracy", "length")  # shown in the progress bar where a step reports them


def rollout_source(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    new_tokens: int,
    batch_size: int,
    *,
    seed: int = 0,
    repeats: int = 1,
    min_new_tokens: int | None = None,
    sample_next_token: Sampler | None = None,
) -> Callable[[int], Rollout]:
    """Return a function that gives training step ``i`` its batch of rollouts, sampled from the policy as it then is.

    The prompts and the random numbers of a step depend on ``seed`` and the step's number alone.

    Args:
        batch_size: rollouts in a batch.
        repeats: completions of each prompt, in consecutive rows; ``batch_size`` must be a multiple of it.
    """
    if batch_size % repeats:
        raise ValueError(f"batch_size {batch_size} is not a multiple of repeats {repeats}")

    def draw(step: int) -> Rollout:
        chosen = batch_at(prompts, batch_size // repeats, step, seed)
        return generate(
            policy,
            tokenizer,
            [prompt for prompt in chosen for _ in range(repeats)],
            new_tokens,
            min_new_tokens=min_new_tokens,
            generator=batch_seed(seed, step),
            sample_next_token=sample_next_token,
        )

    return draw


def batch_source(items: Sequence[Any], batch_size: int, *, seed: int = 0) -> Callable[[int], list[Any]]:
    """Return a function that gives training step ``i`` its batch of items, every epoch in a fresh order."""
    return lambda step: batch_at(items, batch_size, step, seed)


def train(
    step: Callable[..., Mapping[str, float]],
    source: Callable[[int], Any] | Sequence[Any],
    *,
    steps: int,
    policy: PreTrainedModel | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    record_every: int = 1,
    sample_prompts: Sequence[str] = (),
    sample_every: int = 0,
    sample_tokens: int = 24,
    on_sample: Callable[[int, list[str]], None] | None = None,
    stop_when: Callable[[Record], bool] | None = None,
    state: dict[str, Any] | None = None,
    folder: str | Path | None = None,
    checkpoint_every: int = 25,
    resume: bool = True,
    settings: Mapping[str, Any] | None = None,
    description: str = "training",
    progress: bool = True,
) -> History:
    """Run ``step`` on one batch after the other and record what it returns.

    Press the stop button of the notebook (or Ctrl-C) to end early: the step under way is finished, and what there is by
    then is kept: the policy, the history and, with a ``folder``, a checkpoint.

    With a ``folder`` (such as ``"runs/kl-0.01"``) the run saves a checkpoint every ``checkpoint_every`` steps: weights,
    optimizer, random numbers, history, state. If the kernel dies, or you stop the run, calling ``train`` again goes on
    from there, and the result is the same as that of an unbroken run. It begins anew when the run was finished, when
    the settings or the code of ``step`` have changed, or with ``resume=False``.

    Args:
        step: ``step(batch) -> {"loss": …, "reward": …}`` does one update and reports it in floats. If it takes two
            arguments, the second is the step's number, from 0.
        source: what gives the batches: a function of the step's number (see `rollout_source`, `batch_source`), or a
            list of batches, taken in turn again and again.
        steps: number of updates.
        policy, optimizer: needed for checkpoints; ``policy`` and ``tokenizer`` for samples.
        record_every: record each so many steps (the last one always).
        sample_prompts, sample_every, sample_tokens: complete these prompts, with one fixed seed, each so many
            steps, before the update, and after the last one.
        on_sample: called with the step and the completions, for instance to print them.
        stop_when: called with each record; return True to end the run.
        state: a dict of plain numbers that ``step`` reads and changes (an adaptive α, say); it is part of a checkpoint.
        settings: plain values a run depends on; when they differ from the checkpoint's, the run begins anew.
        description: what the progress bar is called.
        progress: show the progress bar.

    Returns:
        The history. Rollouts add the columns ``length`` (mean generated tokens) and ``repetition`` where ``step`` does
        not report them itself.
    """
    if steps < 0 or record_every < 1 or checkpoint_every < 1:
        raise ValueError("steps must not be negative; record_every and checkpoint_every must be at least 1")
    if folder is not None and (policy is None or optimizer is None):
        raise ValueError(
            "checkpoints need the policy and the optimizer: train(..., policy=policy, optimizer=optimizer)"
        )
    if sample_every and (policy is None or tokenizer is None):
        raise ValueError("samples need the policy and the tokenizer: train(..., policy=policy, tokenizer=tokenizer)")
    history = History(state=state if state is not None else {})
    start = 0
    checkpoint = None
    if folder is not None:
        checkpoint = Checkpoint(Path(folder), fingerprint(step, {**(settings or {}), "steps": steps}))
        start = checkpoint.load(policy, optimizer, history) if resume else checkpoint.clear()
        if start and progress:
            print(f"Going on with the run in {folder} from step {start}; resume=False begins anew.")

    def sample(number: int) -> None:
        rollout = generate(policy, tokenizer, sample_prompts, sample_tokens, generator=0)
        for prompt, completion in zip(rollout.prompts, rollout.completions, strict=True):
            history.samples.append({"step": number, "prompt": prompt, "completion": completion})
        if on_sample is not None:
            on_sample(number, rollout.completions)

    takes_number = _takes_two(step)
    bar = tqdm(
        total=steps, initial=start, desc=description, unit="step", disable=not progress, file=sys.stdout, ncols=100
    )
    number = start
    history.stopped = "finished"
    with bar, _stop_button() as stop, out_of_memory_help():
        try:
            while number < steps:
                if sample_every and number % sample_every == 0:
                    sample(number)
                batch = source(number) if callable(source) else source[number % len(source)]
                reported = step(batch, number) if takes_number else step(batch)
                record = _record(number, reported, batch)
                number += 1
                bar.update()
                if (number - 1) % record_every == 0 or number == steps:
                    history.records.append(record)
                    bar.set_postfix({name: f"{record[name]:.3g}" for name in BAR_COLUMNS if name in record})
                done = stop_when is not None and stop_when(record)
                if done or stop.pressed:
                    history.stopped = "stop_when" if done else "interrupted"
                    break
                if checkpoint is not None and number % checkpoint_every == 0 and number < steps:
                    checkpoint.save(policy, optimizer, history, number)
        except KeyboardInterrupt:
            history.stopped = "interrupted"
            checkpoint = None  # a step was cut in two: the last whole checkpoint stays what it is
    if sample_every and history.stopped != "interrupted":
        sample(number)
    if checkpoint is not None:
        checkpoint.save(policy, optimizer, history, number, finished=history.stopped != "interrupted")
    if history.stopped == "interrupted" and progress:
        print(f"Stopped after {number} of {steps} steps; the history and the policy are kept as they are.")
    return history


def _record(number: int, reported: Mapping[str, float], batch: Any) -> Record:
    """Make one record from what a step returned.

    Raises:
        TypeError: the step did not return a dict of numbers.
    """
    if not isinstance(reported, Mapping):
        raise TypeError(f"a training step must return a dict of floats, it returned {type(reported).__name__}")
    record: Record = {"step": float(number)}
    for name, value in reported.items():
        try:
            record[str(name)] = float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"a training step reported {name!r} as {type(value).__name__}, not a number") from error
    if isinstance(batch, Rollout):
        record.setdefault("length", batch.lengths.float().mean().item())
        record.setdefault("repetition", repetition(batch.completions))
    return record


def _takes_two(step: Callable[..., Any]) -> bool:
    """Tell whether a step wants its number as a second argument: two parameters without a default."""
    try:
        parameters = inspect.signature(step).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is inspect.Parameter.empty for p in parameters) >= 2


class _Stop:
    """Whether the stop button was pressed."""

    pressed = False


@contextmanager
def _stop_button():
    """Catch the first Ctrl-C so that the step under way can be finished; a second one interrupts at once."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def remember(number: int, frame: Any) -> None:
        stop.pressed = True
        print("\nStopping after this step …")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, remember)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)
