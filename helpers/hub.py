"""Getting a model or a data set: from the embedded assets, a converted package, the hub's local cache, or the hub."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from transformers.utils import logging as transformers_logging

from . import smollm2
from .hub_errors import explain

ASSETS = Path(__file__).parent / "assets"
HUB = "https://huggingface.co"
TRUE_WORDS = {"1", "true", "yes", "on"}  # what huggingface_hub reads as "set"
REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")  # owner/name, or owner/name@revision


@dataclass(frozen=True)
class Source:
    """A model or data set: a folder of `helpers/assets` (`embedded`), another folder (`local`), a model that is made once on
    this machine from a package (`converted`, see `helpers.smollm2`), or a repository of the Hugging Face hub.

    `revision` is the commit of a hub repository that is used; `"main"` means that it is not pinned.
    """

    name: str
    embedded: bool = False
    converted: bool = False
    local: bool = False
    revision: str = "main"
    kind: str = "model"  # or "dataset"

    @property
    def location(self) -> str:
        """What `from_pretrained` takes: a folder or the repository's name."""
        if self.converted:
            return str(smollm2.folder_of(self.name))
        return str(ASSETS / self.name) if self.embedded else self.name

    @property
    def on_the_hub(self) -> bool:
        """True when the hub has it, and not this machine."""
        return not (self.embedded or self.converted or self.local)

    @property
    def page(self) -> str:
        """The address of its page on the hub."""
        kind = "datasets/" if self.kind == "dataset" else ""
        return f"{os.environ.get('HF_ENDPOINT', HUB).rstrip('/')}/{kind}{self.name}"

    @property
    def pinned(self) -> bool:
        """True when the content cannot change: on this machine, or fixed by a commit."""
        return not self.on_the_hub or len(self.revision) == 40


def source_of(text: str) -> Source:
    """Find the model that a text names: an embedded one (`"reward"`), a folder, or a repository of the hub.

    Args:
        text: the name of a folder in `helpers/assets`; the path of a folder that `save_pretrained` wrote; or `"owner/name"`,
            with `"owner/name@revision"` for a commit, tag or branch.

    Raises:
        ValueError: it is none of these.
    """
    folder = Path(text).expanduser()
    if (ASSETS / text / "config.json").is_file() and "/" not in text:
        return Source(text, embedded=True)
    if (folder / "config.json").is_file():
        return Source(str(folder.resolve()), local=True)
    if folder.is_dir():
        raise ValueError(
            f"The folder {text!r} holds no model: it has no config.json. Write there with save_pretrained."
        )
    if not REPOSITORY.fullmatch(text):
        embedded = ", ".join(sorted(repr(path.parent.name) for path in ASSETS.glob("*/config.json")))
        raise ValueError(
            f"{text!r} is no model: give the path of a folder that is there, the name of a repository of the Hugging Face hub, "
            f"'owner/name' or 'owner/name@revision', or one of the embedded models {embedded}."
        )
    name, _, revision = text.partition("@")
    return Source(name, revision=revision or "main")


def offline() -> bool:
    """True when `COURSE_OFFLINE` or `HF_HUB_OFFLINE` forbids the network."""
    return any(os.environ.get(name, "").lower() in TRUE_WORDS for name in ("COURSE_OFFLINE", "HF_HUB_OFFLINE"))


def hub_status(repository: str, timeout: float = 3.0) -> tuple[bool, str]:
    """Ask the Hugging Face hub for a repository (`"owner/name"`); it must answer within `timeout` seconds.

    Returns:
        `(reachable, reason)`; the reason is part of a sentence, such as "the hub did not answer within 3 seconds".
    """
    if offline():
        return False, "COURSE_OFFLINE or HF_HUB_OFFLINE is set, so the hub is not asked"
    address = os.environ.get("HF_ENDPOINT", HUB).rstrip("/") + f"/api/models/{repository}"
    request = urllib.request.Request(address, method="HEAD", headers={"User-Agent": "steering-course"})
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            return True, "the Hugging Face hub answers"
    except urllib.error.HTTPError as error:
        return False, f"the Hugging Face hub answers with an error ({error.code})"
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return False, f"the Hugging Face hub cannot be reached within {timeout:g} s ({reason})"


def in_local_cache(sources: Iterable[Source]) -> bool:
    """True when every one of the models and data sets is on this machine, or complete in the local hub cache."""
    wanted = [source for source in sources if source.on_the_hub]
    return all(dataset_is_cached(source) if source.kind == "dataset" else is_cached(source) for source in wanted)


class ModelNotAvailableError(OSError):
    """A model or data set could not be loaded; the message says what to do."""


def from_hub_or_assets(loader: Any, source: Source, **options: Any) -> Any:
    """Call `loader.from_pretrained` for a source: its folder (converted if need be), the hub's local cache, or the hub.

    Raises:
        ModelNotAvailableError: none of them has it, or it cannot be read; the message says what to do.
    """
    if source.converted:
        try:
            smollm2.get(source.name)
        except OSError as error:
            raise ModelNotAvailableError(f"{error} Or use the embedded models: choose_preset('tiny').") from error
    if source.embedded and not (Path(source.location) / "config.json").is_file():
        raise ModelNotAvailableError(
            f"The embedded model {source.name!r} is missing ({source.location}). Your copy of the course is "
            "incomplete: fetch it again."
        )
    if source.on_the_hub:
        options |= {"revision": source.revision, "local_files_only": offline()}
    try:
        return loader.from_pretrained(source.location, **options)
    except (OSError, ValueError) as error:
        if source.embedded or source.converted:
            raise
        raise ModelNotAvailableError(not_available(source, error)) from error


def is_cached(source: Source) -> bool:
    """True when the hub's local cache holds the configuration, the weights and the tokenizer of a model."""

    def present(*names: str) -> bool:
        found = (try_to_load_from_cache(source.name, name, revision=source.revision) for name in names)
        return any(isinstance(path, str) for path in found)

    return (
        present("config.json")
        and present("model.safetensors", "pytorch_model.bin")
        and present("tokenizer.json", "vocab.json", "vocab.txt")
    )


def not_available(source: Source, error: Exception) -> str:
    """Return the message for a folder that could not be read, or a hub repository that could not be had."""
    otherwise = "Or use the embedded models: choose_preset('tiny')."
    if source.local:
        return f"The model in {source.name} cannot be read ({type(error).__name__}: {error}). {otherwise}"
    if offline():
        why = "It is not in the local cache, and the course is set to work offline (COURSE_OFFLINE or HF_HUB_OFFLINE)."
    else:
        why = explain(error, source.name, source.revision, source.page)
    return f"{source.name} (revision {source.revision}) could not be had from the Hugging Face hub. {why} {otherwise}"


class Quiet:
    """Silence the progress bars and notes that `transformers` prints while it loads."""

    def __enter__(self) -> None:
        self.level = transformers_logging.get_verbosity()
        self.bars = transformers_logging.is_progress_bar_enabled()
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *error: object) -> None:
        transformers_logging.set_verbosity(self.level)
        if self.bars:
            transformers_logging.enable_progress_bar()


def dataset_folder(source: Source, *, local_files_only: bool = False) -> Path:
    """Return the folder with a data set's parquet files, from the hub's cache or the hub.

    Raises:
        ModelNotAvailableError: neither has it.
    """
    if not source.on_the_hub:
        return Path(source.location)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        folder = snapshot_download(
            source.name,
            repo_type="dataset",
            revision=source.revision,
            allow_patterns=["**/train-*.parquet", "**/test-*.parquet"],
            local_files_only=local_files_only or offline(),
        )
    except (OSError, HfHubHTTPError, ValueError) as error:
        raise ModelNotAvailableError(not_available(source, error)) from error
    return Path(folder)


def dataset_is_cached(source: Source) -> bool:
    """True when the hub's local cache holds the data set's training and test files."""
    try:
        folder = dataset_folder(source, local_files_only=True)
    except ModelNotAvailableError:
        return False
    return all(any(folder.rglob(f"{part}-*.parquet")) for part in ("train", "test"))
