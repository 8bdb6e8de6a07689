"""Best of n in one world, which trains nothing: `python -m lessons.best_of_n --world cartpole`, or language.

The baseline that any training has to beat: play n episodes from each start, and take the best.
"""

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from rich.table import Table

from lessons.harness.build import saved_scorer
from lessons.harness.command_line import Options, parse_command_line
from lessons.harness.machine import INTERRUPTED, configure_torch, exit_with, machine_info, new_folder
from lessons.harness.report.numbers import number, result
from lessons.harness.report.phrases import phrase, result_name
from lessons.harness.report.screen import Screen
from lessons.harness.settings import BestOfNSettings
from lessons.worlds import Results, World
from lessons.worlds.measure import most_kl_of_best, wilson
from lessons.worlds.seeds import spawn
from rl_core.errors import InvalidArgument, RLCoreError

SETTINGS = {"cartpole": BestOfNSettings(), "language": BestOfNSettings(), "chat_model": BestOfNSettings()}


def run(name: str, config: BestOfNSettings, options: Options, screen: Screen | None = None) -> dict[str, Any]:
    """Return the results of the policy itself, and of the best of its n, by the reward model or the world."""
    world, screen = options.load(name), screen or Screen()
    network = world.network(config.start, seed=spawn(options.seed, "weights"), device=options.device, critic=False)
    scorer = None if config.scorer is None else saved_scorer(world, config.scorer, options.device)
    how: dict[str, Any] = {"seed": spawn(options.seed, "evaluate"), "device": options.device, "quick": options.quick}
    started = time.perf_counter()
    with screen.task(phrase("evaluate_one", options.language, title=world.title)) as advance:
        before = world.evaluate(network, **how, advance=advance)
    with screen.task(phrase("evaluate_best", options.language, title=world.title, n=config.n)) as advance:
        after = world.evaluate(network, **how, best_of=config.n, scorer=scorer, advance=advance)
    return {
        "before": before,
        "after": after,
        "most_kl": most_kl_of_best(config.n),
        "seconds": time.perf_counter() - started,
        "config": asdict(config),
    }


def main() -> None:
    """Run from the command line."""
    try:
        options, configs = parse_command_line(SETTINGS, None, description=__doc__ or "")
        if options.resume is not None:
            raise InvalidArgument(f"resume={str(options.resume)!r}: nothing is trained here; leave it out.")
        configure_torch(options.device, options.threads)
        screen, folder = Screen(), new_folder(options.out, "best_of_n", list(configs))
        worlds = {}
        for name, config in configs.items():
            config = config.adjusted(start=options.start, quick=options.quick, dtype=options.dtype_of(name))
            worlds[name] = run(name, config, options, screen)
            screen.console.print(compared(options.load(name), worlds[name], config.n, options.language))
        summary = {"algorithm": "best_of_n", "seed": options.seed, "machine": machine_info(), "worlds": worlds}
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        (folder / "summary.json").write_text(text, encoding="utf-8")
        screen.say(str(folder / "summary.json"))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except RLCoreError as error:
        exit_with(error)


def compared(world: World, results: dict[str, Any], n: int, language: str) -> Table:
    """Return the results of one of one and of the best of n, side by side, shares with their 95 % intervals."""
    table = Table("")
    for head in (phrase("one_of_one", language), phrase("best_of", language, n=n)):
        table.add_column(head, justify="right")
    for name in results["after"]:
        if "/" not in name:
            cells = (told(world, results[when], name) for when in ("before", "after"))
            table.add_row(result_name("kl_at_most" if name == "kl" else name, language), *cells)
    table.add_row(result_name("most_kl", language), "0", number(results["most_kl"]))
    return table


def told(world: World, results: Results, name: str) -> str:
    """Return one result for people: a share with its interval, anything else as a number."""
    is_share = name in world.shares
    interval = wilson(results[name], int(results[world.trials])) if is_share else None
    return result(results[name], interval, is_share=is_share)


if __name__ == "__main__":
    main()
