"""The training loop around a student's step: batches in, history out, with checkpoints that resume exactly."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsFloat

import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .data import batch_at
from .devices import out_of_memory_help
from .evaluation import batch_seed, repetition
from .generation import Rollout, generate
from .memory import announce
from .metrics import Metrics, say
from .runs import Checkpoint, History, NotSavedError, Record, fingerprint, save_weights
from .side_by_side import is_told, tell

BAR_COLUMNS = ("reward", "kl", "length")  # shown in the progress bar where a step reports them
# in their place where a step reports no reward: there the loss is a measure
WITHOUT_REWARD = ("loss", "accuracy", "length")
SLOW = 5.0  # seconds; a checkpoint that takes longer is not written as often as it is asked for


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
) -> Callable[[int], Rollout]:
    """Return a function that gives training step `i` its batch of rollouts, sampled from the policy as it then is.

    The prompts and the random numbers of a step depend on `seed` and the step's number alone.

    Args:
        batch_size: rollouts in a batch.
        repeats: completions of each prompt, in consecutive rows; `batch_size` must be a multiple of it.
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
        )

    return draw


def train(
    step: Callable[..., Mapping[str, SupportsFloat]],
    source: Callable[[int], Any] | Sequence[Any],
    *,
    steps: int,
    policy: PreTrainedModel | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    sample_prompts: Sequence[str] = (),
    sample_every: int = 0,
    sample_tokens: int = 24,
    show_sample: bool = False,
    keep_best: Callable[[list[str]], float] | None = None,
    least_gain: float = 0.0,
    state: dict[str, Any] | None = None,
    folder: str | Path | None = None,
    checkpoint_every: int = 25,
    resume: bool = True,
    reuse: bool = False,
    keep_finished: bool = True,
    settings: Mapping[str, Any] | None = None,
    tensorboard: bool = False,
    description: str = "training",
    progress: bool = True,
) -> History:
    """Run `step` on one batch after the other and record what it returns.

    Press the stop button of the notebook (or Ctrl-C) to end early: the step under way is finished, and what there is by
    then is kept: the policy, the history and, with a `folder`, a checkpoint.

    With a `folder` (such as `"runs/kl-0.01"`) the run saves a checkpoint every `checkpoint_every` steps: weights,
    optimizer, random numbers, history, state. If the kernel dies, or you stop the run, calling `train` again goes on
    from there, and the result is the same as that of an unbroken run. It begins anew when the run was finished (unless
    `reuse` is set), when the settings or the code of `step` have changed, or with `resume=False`. A checkpoint that cannot
    be written, as on a full disk, is told, and the run goes on. The figures of each step are
    written to `<folder>/metrics.jsonl` at once, a line of JSON each.

    Before the first step of a large policy, what memory the run needs is estimated and printed.

    Args:
        step: `step(batch) -> {"loss": …, "reward": …}` does one update and reports it in floats. If it takes two
            arguments, the second is the step's number, from 0.
        source: what gives the batches: a function of the step's number (see `rollout_source`), or a list of batches,
            taken in turn again and again.
        steps: number of updates.
        policy, optimizer: needed for checkpoints; `policy` and `tokenizer` for samples.
        sample_prompts, sample_every, sample_tokens: complete these prompts, with one fixed seed, each so many
            steps, before the update, and after the last one.
        show_sample: print the first completion of each time.
        keep_best: early stopping: what judges the sampled texts (prompt and completion), the higher the better. The
            weights with the best samples so far are kept in `folder/best` (see `load_weights`), and the history's state
            has their `best_step` and `best_score`.
        least_gain: by how much samples must be better than the best before to take their place.
        state: a dict of plain numbers that `step` reads and changes (an adaptive α, say); it is part of a checkpoint.
        reuse: a run that is finished is not made again: its weights and history are taken from the checkpoint.
        keep_finished: False deletes the checkpoint at the end of the run: many runs of a large policy would fill a disk.
        settings: plain values a run depends on; when they differ from the checkpoint's, the run begins anew.
        tensorboard: write the figures for TensorBoard too, to `<folder>/tensorboard` (`pip install tensorboard`).
        description: what the progress bar is called.
        progress: show the progress bar.

    Returns:
        The history, a record for each step. Rollouts add the columns `length` (mean generated tokens) and
        `repetition` where `step` does not report them itself.

    Raises:
        ValueError: a number makes no sense, or what checkpoints or samples need is missing.
        TypeError: `step` did not return a dict of numbers.
        CheckpointError: the run's checkpoint is damaged or of another model.
        ImportError: TensorBoard is asked for and not installed.
    """
    if steps < 0 or checkpoint_every < 1:
        raise ValueError("steps must not be negative, and checkpoint_every must be at least 1")
    if folder is not None and (policy is None or optimizer is None):
        raise ValueError(
            "checkpoints need the policy and the optimizer: train(..., policy=policy, optimizer=optimizer)"
        )
    if sample_every and (policy is None or tokenizer is None):
        raise ValueError("samples need the policy and the tokenizer: train(..., policy=policy, tokenizer=tokenizer)")
    if keep_best is not None and (folder is None or not sample_every):
        raise ValueError("keep_best needs samples to judge and a folder: train(..., sample_every=10, folder=folder)")
    history = History(state=state if state is not None else {})
    best = None if keep_best is None else Best(keep_best, Path(folder or ".") / "best", least_gain)
    show = show_sample and progress
    samples = Samples(history, policy, tokenizer, sample_prompts, sample_every, sample_tokens, show, best)
    saver = Saver(history, policy, optimizer, checkpoint_every, steps, keep_finished)
    metrics = Metrics(history, None if folder is None else Path(folder), board=tensorboard)
    done = 0
    if folder is not None:
        mark = fingerprint(step, {**(settings or {}), "steps": steps})
        done = saver.begin(Checkpoint(Path(folder), mark), resume, reuse)
        if saver.finished:
            if progress:
                say(
                    f"{description}: this run was finished before, and is read from {folder}; resume=False begins anew."
                )
            return history
        if done and progress:
            print(f"Going on with the run in {folder} from step {done}; resume=False begins anew.")
    metrics.begin()
    call = step if _takes_two(step) else lambda batch, number: step(batch)
    bar = tqdm(
        total=steps, initial=done, desc=description, unit="step", disable=not progress or is_told(), file=sys.stdout,
        ncols=100,
    )  # fmt: skip
    whole, first = True, done
    shown: dict[str, str] = {}
    with bar, _stop_button() as stop, out_of_memory_help():
        try:
            while done < steps and not stop.pressed and tell(done, steps):
                samples.before(done)
                batch = source(done) if callable(source) else source[done % len(source)]
                if progress and done == first:
                    say(announce(policy, optimizer, batch))
                record = _record(done, call(batch, done), batch)
                history.records.append(record)
                metrics.add()
                done += 1
                bar.update()
                # what is measured now and then keeps its last value
                shown |= _shown(record)
                bar.set_postfix(shown)
                saver.after(done)
            tell(done, steps)
        except KeyboardInterrupt:  # the second one, or one outside the main thread: a step is cut in two
            whole = False
    history.stopped = "finished" if whole and not stop.pressed and done == steps else "interrupted"
    samples.end(done)
    saver.end(done, whole)
    metrics.end()
    if history.stopped == "interrupted" and progress:
        print(f"Stopped after {done} of {steps} steps; the history and the policy are kept as they are.")
    return history


@dataclass
class Best:
    """The policy whose samples a judge likes best."""

    judge: Callable[[list[str]], float]
    folder: Path
    least_gain: float

    def after(self, texts: list[str], step: int, policy: Any, state: dict[str, Any]) -> None:
        """Keep the policy's weights if its texts are better, by more than the least gain, than those of the kept ones."""
        score = float(self.judge(texts))
        if score > state.get("best_score", float("-inf")) + self.least_gain:
            try:
                save_weights(policy, self.folder)
            except NotSavedError as error:
                earlier = f"those of step {state['best_step']} stay" if "best_step" in state else "there are none yet"
                say(f"The best weights so far, of step {step}, are not kept, {earlier}: {error}")
            else:
                state.update(best_score=score, best_step=step)


@dataclass
class Samples:
    """Completes a few prompts every so many steps, always with the same seed; with `every` 0, never."""

    history: History
    policy: PreTrainedModel | None
    tokenizer: PreTrainedTokenizerBase | None
    prompts: Sequence[str]
    every: int
    tokens: int
    show: bool = False
    best: Best | None = None

    def before(self, step: int) -> None:
        """Sample if it is time to; step number `step`, counted from 0, is about to begin."""
        if self.every and step % self.every == 0:
            self._sample(step)

    def end(self, done: int) -> None:
        """Sample from the policy as it is after a run that was not interrupted."""
        if self.every and self.history.stopped == "finished":
            self._sample(done)

    def _sample(self, step: int) -> None:
        rollout = generate(self.policy, self.tokenizer, self.prompts, self.tokens, generator=0)
        for prompt, completion in zip(rollout.prompts, rollout.completions, strict=True):
            self.history.samples.append({"step": step, "prompt": prompt, "completion": completion})
        if self.show:
            tqdm.write(f"step {step}: {rollout.texts[0]}", file=sys.stdout)
        if self.best is not None:
            self.best.after(list(rollout.texts), step, self.policy, self.history.state)


@dataclass
class Saver:
    """Writes a checkpoint every so many steps and at the end of the run; before `begin`, it writes nothing."""

    history: History
    policy: Any  # None only where nothing is to be kept, and so the optimizer
    optimizer: Any
    every: int
    steps: int
    keep_finished: bool = True
    checkpoint: Checkpoint | None = None
    finished: bool = False  # whether a finished run was taken from it
    saved: int = 0  # the step of the last checkpoint
    rest: float = 0.0  # when the next one is due at the earliest, by the clock of `time.perf_counter`

    def begin(self, checkpoint: Checkpoint, resume: bool, reuse: bool) -> int:
        """Restore an unfinished run, or with `reuse` a finished one, if it is there and wanted; return the steps done."""
        self.checkpoint = checkpoint
        if not resume:
            return checkpoint.clear()
        steps = checkpoint.load_finished(self.policy, self.history) if reuse else 0
        self.finished = steps > 0
        self.saved = steps or checkpoint.load(self.policy, self.optimizer, self.history)
        return self.saved

    def after(self, done: int) -> None:
        """Save if it is time to; `done` steps are done. A slow disk, such as Drive, takes a tenth of the time at most."""
        if done % self.every == 0 and done < self.steps and time.perf_counter() >= self.rest:
            began = time.perf_counter()
            self._save(done, False, f"Training goes on; the next try is after step {done + self.every}")
            took = time.perf_counter() - began
            self.rest = began + 10 * took if took > SLOW else 0.0

    def end(self, done: int, whole: bool) -> None:
        """Save for the last time, unless a step was cut in two: then the last whole checkpoint stays what it is."""
        finished = self.history.stopped == "finished"
        if finished and self.checkpoint and not self.keep_finished:
            self.checkpoint.clear()
        elif whole:
            then = (
                "Policy and history are in memory: make room, then keep the weights with save_weights(policy, folder)"
            )
            self._save(done, finished, then)

    def _save(self, done: int, finished: bool, then: str) -> None:
        """Save; where that is not possible, say what there is instead, and what comes then."""
        if self.checkpoint is None:
            return
        try:
            self.checkpoint.save(self.policy, self.optimizer, self.history, done, finished)
            self.saved = done
        except NotSavedError as error:
            kept = f"that of step {self.saved} is still there" if self.saved else "there is none of this run"
            say(f"The checkpoint of step {done} is not saved, {kept}: {error} {then}.")


def _record(number: int, reported: object, batch: Any) -> Record:
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


def _shown(record: Record) -> dict[str, str]:
    """What the progress bar says of a step, short enough that the bar has room on a line."""
    columns = BAR_COLUMNS if "reward" in record else WITHOUT_REWARD
    rounded = {name: round(record[name], 3) + 0.0 for name in columns if name in record}  # -0.0 + 0.0 is 0.0
    return {name: f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" for name, value in rounded.items()}


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
def _stop_button() -> Iterator[_Stop]:
    """Catch the first Ctrl-C so that the step under way can be finished; a second one interrupts at once."""
    stop = _Stop()
    if is_told() or threading.current_thread() is not threading.main_thread():
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
