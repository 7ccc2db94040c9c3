"""Running TRL's trainers on the course's pairs and prompts, so that their losses can be laid over a student's own.

TRL is optional: nothing here is imported unless the notebook's last section runs, and `trl_problem` says why it cannot.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from helpers.hub import Quiet

from .pairs import Pair, PairBatch, collate

INSTALL = 'pip install "trl==1.16.0" "transformers>=5.8" accelerate'
OLDEST = (1, 10)  # TRL's arguments change from release to release; tried with 1.16


def trl_problem() -> str:
    """Why TRL cannot be used here, with what to do about it; empty if it can."""
    for name in ("trl", "accelerate"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed. To run this section: {INSTALL} , then restart the kernel."
    try:
        import trl
        from trl import DPOConfig, DPOTrainer, RLOOConfig, RLOOTrainer  # noqa: F401
    except (ImportError, RuntimeError) as error:
        return f"TRL is installed, but does not load ({str(error)[:200]}). To repair it: {INSTALL}"
    version = tuple(int(part) for part in re.findall(r"\d+", trl.__version__)[:2])
    if version < OLDEST or version[0] != OLDEST[0]:
        return f"This section was made with TRL 1.16, and you have {trl.__version__}. To run it: {INSTALL}"
    return ""


def pairs_for_trl(pairs: Sequence[Pair]) -> Any:
    """The pairs as TRL takes them: a data set with the columns `prompt`, `chosen` and `rejected`, as text.

    The column `number` is ours: it lets the collator find the pair's own tokens again.
    """
    import datasets

    return datasets.Dataset.from_dict(
        {
            "prompt": [pair.prompt for pair in pairs],
            "chosen": [pair.chosen for pair in pairs],
            "rejected": [pair.rejected for pair in pairs],
            "number": list(range(len(pairs))),
        }
    )


def trl_collator(pairs: Sequence[Pair], pad_id: int) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
    """A collator that gives TRL the very tokens of our pairs: chosen sequences first, rejected ones after them.

    Without it, TRL would tokenise the text anew. A sampled text does not always give back the tokens it was sampled as, and
    TRL would add an end-of-text token to completions that were cut off.
    """

    def gather(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        chosen = [pairs[row["number"]] for row in rows]
        length = max(len(p.prompt_ids) + max(len(p.chosen_ids), len(p.rejected_ids)) for p in chosen)
        batch: PairBatch = collate(chosen, pad_id, length=length)
        return {
            "input_ids": torch.cat([batch.chosen_ids, batch.rejected_ids]),
            "attention_mask": torch.cat([batch.chosen_attention, batch.rejected_attention]).long(),
            "completion_mask": torch.cat([batch.chosen_mask, batch.rejected_mask]).long(),
        }

    return gather


def plain_arguments(*, batch_size: int, learning_rate: float, steps: int, seed: int, cpu: bool) -> dict[str, Any]:
    """Settings of Hugging Face's `Trainer` that make it do what our loop does, and nothing else.

    Each one switches something off that TRL or the `Trainer` does by itself: a falling learning rate, gradient clipping,
    weight decay, shuffling, bfloat16, recomputing activations, saving files and reporting to web services.
    """
    return {
        "output_dir": tempfile.mkdtemp(prefix="trl-"),
        "per_device_train_batch_size": batch_size,
        "max_steps": steps,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 0.0,  # 0 means: no clipping
        "seed": seed,
        "bf16": False,
        "gradient_checkpointing": False,
        "use_cpu": cpu,
        "dataloader_pin_memory": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


@contextmanager
def quietly() -> Iterator[None]:
    """Keep the libraries' progress bars and notices out of the notebook."""
    import datasets

    trl_logger = logging.getLogger("trl")
    trl_level = trl_logger.level
    trl_logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        with Quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        trl_logger.setLevel(trl_level)
        datasets.enable_progress_bars()


def silent(trainer: Any) -> Any:
    """The trainer without the callback that prints every log line."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def logged(trainer: Any, column: str) -> list[float]:
    """One column of a trainer's log, a value for each step, such as `"loss"` or `"reward"`."""
    return [entry[column] for entry in trainer.state.log_history if column in entry]
