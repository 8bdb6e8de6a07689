"""What the command line offers: one field, one option; every hyper-parameter of each world among them."""

import locale
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from lessons.harness.machine import program, write_utf8
from lessons.worlds import ALL, WITH_MODEL, World, load
from rl_core.errors import InvalidArgument, check_between

Language = Literal["en", "zh"]
LARGEST_SEED = 2**32 - 1


def reader_language() -> Language:
    """Return the language of the reader's system: Chinese where its locale is, else English."""
    names = [os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    name = next((name for name in names if name), None) or locale.getlocale()[0] or ""
    return "zh" if name.lower().startswith(("zh", "chinese")) else "en"


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model the language world has."""

    model: str | None = None
    """Another chat model for the language world: smollm2, a transformers id, or a folder. Default: the small one."""


@dataclass(frozen=True, kw_only=True)
class WeightOptions:
    """How such a model is opened."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights of --model."""
    lora: int = 8
    """Rank of the LoRA adapter that is trained in --model. 0: all weights are trained."""


@dataclass(frozen=True, kw_only=True)
class FirstOptions(ModelOptions):
    """What a newcomer needs."""

    quick: bool = False
    """A smoke run: three iterations on little data, and small evaluations."""
    seed: int = 0
    """Seed of all random numbers."""
    language: Language = field(default_factory=reader_language)
    """Language of the report. Default: that of your system."""
    resume: Path | None = None
    """Folder of an interrupted run, to go on with it. The run keeps its own settings."""


@dataclass(frozen=True, kw_only=True)
class MoreOptions(WeightOptions):
    """Where and how to run."""

    device: str = "cpu"
    """Where to compute: cpu, cuda, cuda:1."""
    threads: int = 1
    """CPU threads of torch. Another number sums in another order, which changes results in the last digit."""
    out: Path = Path("runs")
    """Folder in which the folder of the run is made."""
    start: Literal["reference", "scratch"] | None = None
    """Where all policies start: as shipped (reference), or untrained (scratch). Default: what each world says."""


@dataclass(frozen=True, kw_only=True)
class Options(FirstOptions, MoreOptions):
    """How to run."""

    def __post_init__(self) -> None:
        """Raise InvalidArgument for a seed that some generator cannot take."""
        check_between("seed", self.seed, 0, LARGEST_SEED)

    def load(self, name: str) -> World:
        """Return the world of that name, with the model that was asked for."""
        return load(name, model=self.model, dtype=self.dtype, lora=self.lora)

    def dtype_of(self, name: str) -> str:
        """Return the type of that world's weights: --dtype is that of --model."""
        return self.dtype if self.model is not None and name in WITH_MODEL else "float32"


@dataclass(frozen=True, kw_only=True)
class Which(ModelOptions, WeightOptions):
    """What has to be known before the other options are."""


def parse_command_line(
    table: Mapping[str, Any],
    worlds: Sequence[str] | None,
    *,
    description: str,
    algorithm: str = "",
    algorithms: Sequence[str] = (),
) -> tuple[Options, dict[str, Any]]:
    """Return the options, and the settings of each world, whose fields are options as well.

    `worlds` None asks for one with --world. `algorithms` are the choices of --algorithm, which has chosen `algorithm`.
    The defaults are those of the worlds, and of the --model, that are named.
    """
    write_utf8()
    given, names = sys.argv[1:], worlds
    if worlds is None:
        names, given = world_asked_for(table, given, description)
    which, _ = tyro.cli(Which, args=given, return_unknown_args=True, add_help=False)
    assert names is not None
    if which.model is not None and not set(names) & set(WITH_MODEL):
        raise InvalidArgument(f"model={which.model!r}: the world {names[0]} has none to choose; pass --world language.")
    columns = {name: load(name, model=which.model, dtype=which.dtype, lora=which.lora).settings for name in names}
    command = command_of({name: table[key] for name, key in columns.items()}, algorithm, algorithms)
    parsed: Any = tyro.cli(command, args=given, description=description, prog=program())
    first = {item.name: getattr(parsed, item.name) for item in fields(FirstOptions)}
    more = {item.name: getattr(parsed.more, item.name) for item in fields(MoreOptions)}
    return Options(**first, **more), {name: getattr(parsed, f"world_{name}") for name in names}


def world_asked_for(
    table: Mapping[str, Any], given: Sequence[str], description: str
) -> tuple[Sequence[str], list[str]]:
    """Return the world that --world names, and the other words of the command line."""
    known: Any = Literal[tuple(name for name in ALL if name in table)]
    where = Annotated[known, tyro.conf.arg(help="Where to run. With it, --help shows every option.")]
    choice = make_dataclass("Choice", [("world", where)])
    is_named = any(word.split("=")[0] == "--world" for word in given)
    chosen: Any
    chosen, rest = tyro.cli(
        choice,
        args=list(given),
        return_unknown_args=True,
        add_help=not is_named,
        description=description,
        prog=program(),
    )
    return (chosen.world,), rest


def command_of(settings: Mapping[str, Any], algorithm: str, algorithms: Sequence[str]) -> Any:
    """Return the dataclass whose fields are the options: a newcomer's first, then groups."""
    listed: Any = Literal[tuple(algorithms)]
    choice = Annotated[listed, tyro.conf.arg(help="What to train with.")]
    chosen = [("algorithm", choice, field(default=algorithm))] if algorithms else []
    first = make_dataclass("First", chosen, frozen=True, kw_only=True)
    more = ("more", tyro.conf.OmitArgPrefixes[MoreOptions], field(default_factory=MoreOptions))
    groups = [  # the world of language has the name of an option, so that a field of its own name would hide it
        (f"world_{name}", Annotated[type(default), tyro.conf.arg(name=name)], field(default=default))
        for name, default in settings.items()
    ]
    return make_dataclass("Command", [more, *groups], bases=(FirstOptions, first), frozen=True, kw_only=True)
