"""From the first look at the truth to the last: runs in turn, live columns, interruption, and the report."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from lessons.harness.command_line import (
    Options,
    configure_torch,
    exit_with,
    machine_info,
    new_folder,
    parse_command_line,
)
from lessons.harness.report.columns import Columns
from lessons.harness.report.snapshot import take_snapshot
from lessons.harness.report.summary import report
from lessons.harness.run import Recipe, Run
from lessons.worlds.seeds import spawn
from rl_core.errors import CheckpointError, RLCoreError

SAVE_EVERY = 10
REMEMBERED = {"seed": int, "device": str, "threads": int, "quick": bool, "dtype": str, "lora": int}


def main(recipe: Recipe, description: str | None, *, worlds: Sequence[str] | None = None) -> None:
    """Run from the command line, in the given worlds, or in the one that --world names."""
    try:
        options, configs = parse_command_line(Options, recipe.settings, worlds, description=description or "")
        configs = {
            name: c.adjusted(start=options.start, quick=options.quick, dtype=options.dtype_of(name))
            for name, c in configs.items()
        }
        resumed = options.resume is not None
        if options.resume is None:
            folder = new_folder(options.out)
        else:
            folder, asked = options.resume, set(configs)
            options, configs = load_config(folder, recipe)
            if set(configs) != asked:
                raise CheckpointError(f"resume={str(folder)!r} is a run of {sorted(configs)}, not of {sorted(asked)}.")
        configure_torch(options.device, options.threads)
        summary = run_session(recipe, configs, options, folder, resumed=resumed)
    except RLCoreError as error:
        exit_with(error)
        return
    if summary["interrupted"]:
        print(f"\nInterrupted. Go on with: --resume {folder}")


def run_session(
    recipe: Recipe, configs: dict[str, Any], options: Options, folder: Path, *, resumed: bool = False
) -> dict[str, Any]:
    """Return the summary of a whole run, whose files are then in the folder."""
    began = time.perf_counter()
    begin = recipe.make_run or Run.start
    runs = [
        begin(
            recipe,
            options.load(name),
            config,
            seed=options.seed,
            device=options.device,
            folder=folder / name,
            quick=options.quick,
        )
        for name, config in configs.items()
    ]
    if not resumed:
        save_config(folder, recipe, options, configs)
        for run in runs:
            run.save(folder / f"{run.world.name}.pt")
    evaluation_seed = spawn(options.seed, "evaluate")
    before = [take_snapshot(run.now, seed=evaluation_seed, quick=options.quick) for run in runs]
    if resumed:
        for run in runs:
            run.load(folder / f"{run.world.name}.pt")
        truncate_metrics(folder / "metrics.jsonl", {run.world.name: run.iteration for run in runs})
    train_in_turn(runs, options.seed, folder)
    after = [take_snapshot(run.now, seed=evaluation_seed, quick=options.quick) for run in runs]
    facts = {
        "algorithm": recipe.name,
        "seed": options.seed,
        "device": options.device,
        "interrupted": any(run.iteration < run.config.iterations for run in runs),
        "seconds": time.perf_counter() - began,
        "machine": machine_info(),
    }
    return report(runs, before, after, facts, folder)


def train_in_turn(runs: Sequence[Any], seed: int, folder: Path) -> None:
    """Nothing; every run has advanced to its end, an iteration in turn, or to where Ctrl-C stopped them all."""
    columns = Columns([run.world.title for run in runs])
    going = {run.world.name: (run, run.recipe.train(run)) for run in runs}
    with interruptible() as asked_to_stop, (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        while going and not asked_to_stop():
            for name, (run, records) in list(going.items()):
                record = next(records, None)
                if record is None:
                    del going[name]
                    continue
                record |= {
                    f"eval_{key}": value
                    for key, value in run.quick_evaluate(seed=spawn(seed, "quick evaluate")).items()
                }
                print(json.dumps(record), file=file, flush=True)
                columns.show(run.world.title, record, run.config.iterations)
                if run.iteration % SAVE_EVERY == 0:
                    run.save(folder / f"{name}.pt")
    for run in runs:
        run.save(folder / f"{run.world.name}.pt")
        run.export(folder / run.world.name)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Give a question: was Ctrl-C pressed? Iterations are finished first, so that a run stops where it can go on.

    Pressed once more it stops at once, as ever.
    """
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("\nStopping after this iteration (Ctrl-C once more: at once).", flush=True)

    usual = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, usual)


def save_config(folder: Path, recipe: Recipe, options: Options, configs: dict[str, Any]) -> None:
    """Nothing; the folder now says how the run was started."""
    worlds = {name: asdict(config) for name, config in configs.items()}
    said = {"algorithm": recipe.name, "options": asdict(options), "worlds": worlds}
    (folder / "config.json").write_text(json.dumps(said, indent=2, default=str), encoding="utf-8")


def load_config(folder: Path, recipe: Recipe) -> tuple[Options, dict[str, Any]]:
    """Return the options and configs that a run's folder remembers; CheckpointError for another algorithm's."""
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if said["algorithm"] != recipe.name:
            raise CheckpointError(f"resume={str(folder)!r} is a run of {said['algorithm']}, not of {recipe.name}.")
        values = {name: kind(said["options"][name]) for name, kind in REMEMBERED.items()}
        options = Options(**values, model=said["options"]["model"])
        configs = {
            name: from_dict(type(recipe.settings[options.load(name).settings]), values)
            for name, values in said["worlds"].items()
        }
    except RLCoreError:
        raise
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(
            f"resume={str(folder)!r} is no run's folder ({error!r}); pass one under runs/."
        ) from error
    return options, configs


def from_dict(kind: Any, values: dict[str, Any]) -> Any:
    """Return the dataclass that `asdict`, and a way through JSON, made these values of."""
    hints = get_type_hints(kind)
    parts = {
        name: from_dict(hints[name], value)
        if is_dataclass(hints[name])
        else tuple(value)
        if isinstance(value, list)
        else value
        for name, value in values.items()
    }
    return kind(**parts)


def truncate_metrics(path: Path, iterations: dict[str, int]) -> None:
    """Nothing; the records no longer hold what the checkpoints have not seen."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # the program was killed while writing its last line
        if record["iteration"] <= iterations.get(record["world"], 0):
            kept.append(line)
    path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
