"""From the first evaluation to the last: runs in turn, live columns, interruption, and the report."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from lessons.harness.command_line import Options, parse_command_line
from lessons.harness.folder import append_record, load_config, save_config, truncate_metrics
from lessons.harness.machine import (
    INTERRUPTED,
    configure_torch,
    exit_with,
    machine_info,
    new_folder,
    resume_command,
)
from lessons.harness.recipe import Recipe
from lessons.harness.report.columns import Columns
from lessons.harness.report.phrases import phrase
from lessons.harness.report.screen import Screen
from lessons.harness.report.snapshot import Snapshot, take_snapshot
from lessons.harness.report.summary import report
from lessons.harness.run import Run
from lessons.worlds.seeds import spawn
from rl_core.errors import CheckpointError, InvalidState, RLCoreError

SAVE_EVERY = 10
HONOURED = ("--resume", "--device", "--threads", "--language", "--world", "--algorithm")  # on a run that goes on


def main(
    recipe: Recipe, description: str | None, *, worlds: Sequence[str] | None = None, algorithms: Sequence[str] = ()
) -> None:
    """Run from the command line, in the given worlds, or in the one that --world names."""
    folder, chosen, language, is_resumed = None, which_words(sys.argv[1:]), "en", False
    try:
        options, configs = parse_command_line(
            recipe.settings, worlds, description=description or "", algorithm=recipe.name, algorithms=algorithms
        )
        language = options.language
        configs = {
            name: config.adjusted(start=options.start, quick=options.quick, dtype=options.dtype_of(name))
            for name, config in configs.items()
        }
        is_resumed = options.resume is not None
        if options.resume is not None:
            folder = options.resume
            options, configs = go_on(folder, recipe, options, set(configs), sys.argv[1:])
        configure_torch(options.device, options.threads)
        folder = folder or new_folder(options.out, recipe.name, list(configs))
        summary = run_session(recipe, configs, options, folder, resumed=is_resumed)
    except RLCoreError as error:
        exit_with(error)
        return
    except (OSError, SafetensorError) as error:
        if folder is None or isinstance(error, BrokenPipeError):  # nobody reads what is said; no disk is full
            raise
        exit_with(unwritten(folder, error, resume_command(folder, chosen)))
        return
    except KeyboardInterrupt:
        if folder is not None and any(folder.glob("*.pt")):
            print(phrase("interrupted", language, command=resume_command(folder, chosen)))
        sys.exit(INTERRUPTED)
    finally:
        if folder is not None and not is_resumed:
            with suppress(OSError):  # a folder in which there is something stays
                folder.rmdir()
    if summary["interrupted"]:
        print(phrase("interrupted", language, command=resume_command(folder, chosen)))


def unwritten(folder: Path, error: Exception, command: str) -> InvalidState:
    """Return the error for a file that a run could not write, with what is left of the run to go on with."""
    remedy = f"free the disk; its checkpoints are whole, go on with:\n  {command}"
    if not any(folder.glob("*.pt")):
        remedy = "free the disk, or pass another folder."
    return InvalidState(f"out={str(folder)!r} cannot be written ({error}); {remedy}")


def which_words(given: Sequence[str]) -> list[str]:
    """Return the words of a command line that say what is run, and not how."""
    words: list[str] = []
    for number, word in enumerate(given):
        name, _, value = word.partition("=")
        if name in ("--world", "--algorithm"):
            words += [name, value or next(iter(given[number + 1 :]), "")]
    return words


def go_on(
    folder: Path, recipe: Recipe, given: Options, worlds: set[str], arguments: Sequence[str]
) -> tuple[Options, dict[str, Any]]:
    """Return the options and settings of a run that goes on: its own, on the device that is given now."""
    options, configs = load_config(folder, recipe)
    if set(configs) != worlds:
        raise CheckpointError(f"resume={str(folder)!r} is a run of {sorted(configs)}, not of {sorted(worlds)}.")
    names = [word.split("=")[0] for word in arguments if word.startswith("--")]
    ignored = [name for name in names if name not in HONOURED]
    if ignored:
        print(phrase("ignored", given.language, options=" ".join(ignored)))
    honoured = {name: getattr(given, name) for name in ("device", "threads") if f"--{name}" in names}
    return replace(options, language=given.language, **honoured), configs


def run_session(
    recipe: Recipe, configs: dict[str, Any], options: Options, folder: Path, *, resumed: bool = False
) -> dict[str, Any]:
    """Return the summary of a whole run, whose files are then in the folder."""
    started, screen, language = time.perf_counter(), Screen(), options.language
    worlds = {name: options.load(name) for name in configs}
    titles = ", ".join(world.title for world in worlds.values())
    screen.say(phrase("begin", language, algorithm=recipe.name, worlds=titles, seed=options.seed, folder=folder) + "\n")
    begin = recipe.make_run or Run.start
    how: dict[str, Any] = {"seed": options.seed, "device": options.device, "quick": options.quick}
    runs = [begin(recipe, worlds[name], config, folder=folder / name, **how) for name, config in configs.items()]
    if not resumed:
        save_config(folder, recipe, options, configs)
        for run in runs:
            run.save(folder / f"{run.world.name}.pt")
    before = snapshots(runs, options, screen, "evaluate_before")
    if resumed:
        for run in runs:
            run.load(folder / f"{run.world.name}.pt")
        truncate_metrics(folder / "metrics.jsonl", {run.world.name: run.iteration for run in runs})
    train_in_turn(runs, options, folder, screen)
    after = snapshots(runs, options, screen, "evaluate_after", before)
    facts = {
        "algorithm": recipe.name,
        "seed": options.seed,
        "device": options.device,
        "quick": options.quick,
        "interrupted": any(run.iteration < run.config.iterations for run in runs),
        "seconds": time.perf_counter() - started,
        "machine": machine_info(),
    }
    summary = report(runs, before, after, facts, folder, screen, language)
    screen.say("\n" + phrase("seconds", language, seconds=time.perf_counter() - started, folder=folder))
    return summary


def snapshots(
    runs: Sequence[Any], options: Options, screen: Screen, name: str, before: Sequence[Snapshot] = ()
) -> list[Snapshot]:
    """Return what each run is now, after saying what is being looked at; and where each was before, if it is known."""
    seen = []
    how: dict[str, Any] = {"seed": spawn(options.seed, "evaluate"), "quick": options.quick}
    for run, look in zip_longest(runs, before):
        with screen.task(phrase(name, options.language, title=run.world.title)) as advance:
            earlier = None if look is None else look.played
            seen.append(take_snapshot(run.now, earlier=earlier, advance=advance, **how))
    return seen


def train_in_turn(runs: Sequence[Any], options: Options, folder: Path, screen: Screen) -> None:
    """Run all worlds to the end, one iteration each in turn, or until Ctrl-C."""
    columns = Columns(screen, [run.world.name for run in runs], options.language)
    going = {run.world.name: (run, run.recipe.train(run)) for run in runs}
    last = sum(run.config.iterations for run in runs)
    first, started = sum(run.iteration for run in runs), time.monotonic()
    screen.say()
    with (
        interruptible(options.language) as asked_to_stop,
        screen.task(phrase("train", options.language), is_told=False) as advance,
        (folder / "metrics.jsonl").open("a", encoding="utf-8") as file,
    ):
        while going and not asked_to_stop():
            for name, (run, records) in list(going.items()):
                record = next(records, None)
                if record is None:
                    save(going.pop(name)[0], folder)
                    continue
                results = run.quick_evaluate(seed=spawn(options.seed, "quick evaluate"))
                append_record(file, record | {f"eval_{key}": value for key, value in results.items()})
                done = sum(each.iteration for each in runs)
                left = (time.monotonic() - started) / (done - first) * (last - done)
                columns.show(name, record, run.config.iterations, left)
                advance(done, last)
                if run.iteration % SAVE_EVERY == 0:
                    run.save(folder / f"{name}.pt")
    for run, _ in going.values():
        save(run, folder)
    screen.say()


def save(run: Any, folder: Path) -> None:
    """Write the checkpoint of a run, and what it has trained."""
    run.save(folder / f"{run.world.name}.pt")
    run.export(folder / run.world.name)


@contextmanager
def interruptible(language: str) -> Iterator[Callable[[], bool]]:
    """Give a question: was Ctrl-C pressed? Iterations are finished first, so that a run stops where it can go on.

    Pressed once more it stops at once, as ever. Only the main thread may listen; elsewhere nothing is ever pressed.
    """
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print(phrase("stopping", language), flush=True)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    usual = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, usual)
