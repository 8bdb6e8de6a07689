"""Best of n in one world, which trains nothing: `python -m lessons.best_of_n --world cartpole`, or language.

The baseline that any training has to beat: play n episodes from each start, and take the best.
"""

import json
import time
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from lessons.harness.build import saved_scorer
from lessons.harness.command_line import (
    Options,
    configure_torch,
    exit_with,
    machine_info,
    parse_command_line,
    writable_folder,
)
from lessons.harness.report.numbers import number
from lessons.harness.settings import BestOfNSettings
from lessons.worlds.measure import most_kl_of_best
from lessons.worlds.seeds import spawn
from rl_core.errors import InvalidArgument, RLCoreError

SETTINGS = {"cartpole": BestOfNSettings(), "language": BestOfNSettings(), "chat_model": BestOfNSettings()}


def run(name: str, config: BestOfNSettings, options: Options) -> dict[str, Any]:
    """Return the truth about the policy itself, and about the best of its n, by the reward model or the world."""
    world = options.load(name)
    network = world.network(config.start, seed=spawn(options.seed, "weights"), device=options.device, critic=False)
    scorer = None if config.scorer is None else saved_scorer(world, config.scorer, options.device)
    asked: dict[str, Any] = {"seed": spawn(options.seed, "evaluate"), "device": options.device, "quick": options.quick}
    began = time.perf_counter()
    return {
        "before": world.evaluate(network, **asked),
        "after": world.evaluate(network, **asked, best_of=config.n, scorer=scorer),
        "most_kl": most_kl_of_best(config.n),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Run from the command line."""
    try:
        options, configs = parse_command_line(Options, SETTINGS, None, description=__doc__ or "")
        if options.resume is not None:
            raise InvalidArgument(f"resume={str(options.resume)!r}: nothing is trained here; leave it out.")
        configure_torch(options.device, options.threads)
        summary: dict[str, Any] = {
            "algorithm": "best_of_n",
            "seed": options.seed,
            "machine": machine_info(),
            "worlds": {},
        }
        for name, config in configs.items():
            config = config.adjusted(start=options.start, quick=options.quick, dtype=options.dtype_of(name))
            found = run(name, config, options) | {"config": asdict(config)}
            summary["worlds"][name] = found
            Console(highlight=False).print(compared(found, config.n))
        path = writable_folder(options.out) / f"best_of_n-{'-'.join(configs)}.json"
        path.write_text(json.dumps(summary, indent=2, ensure_ascii=False), encoding="utf-8")
        print(path)
    except RLCoreError as error:
        exit_with(error)


def compared(found: dict[str, Any], n: int) -> Table:
    """Return the truth about one of one and about the best of n, side by side."""
    table = Table()
    for head in ("", "one of one", f"best of {n}"):
        table.add_column(head, justify="left" if not head else "right")
    for name in found["after"]:
        if "/" not in name:
            table.add_row(name.replace("_", " "), *(number(found[when].get(name, 0)) for when in ("before", "after")))
    table.add_row("most KL it can cost", "0", number(found["most_kl"]))
    return table


if __name__ == "__main__":
    main()
