"""The folder of a run: how it was started, and its records."""

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TextIO, get_type_hints

from lessons.harness.command_line import Options
from lessons.harness.recipe import Recipe
from rl_core.errors import CheckpointError, RLCoreError

SAVED = {"seed": int, "device": str, "threads": int, "quick": bool, "dtype": str, "lora": int}


def save_config(folder: Path, recipe: Recipe, options: Options, configs: Mapping[str, Any]) -> None:
    """Write config.json: how the run was started."""
    worlds = {name: asdict(config) for name, config in configs.items()}
    content = {"algorithm": recipe.name, "options": asdict(options), "worlds": worlds}
    text = json.dumps(content, indent=2, default=str, ensure_ascii=False)
    (folder / "config.json").write_text(text, encoding="utf-8")


def load_config(folder: Path, recipe: Recipe) -> tuple[Options, dict[str, Any]]:
    """Return the options and settings in config.json; raise CheckpointError for another algorithm's."""
    try:
        saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if saved["algorithm"] != recipe.name:
            raise CheckpointError(f"resume={str(folder)!r} is a run of {saved['algorithm']}, not of {recipe.name}.")
        values: dict[str, Any] = {name: kind(saved["options"][name]) for name, kind in SAVED.items()}
        options = Options(**values, model=saved["options"]["model"])
        configs = {
            name: from_dict(type(recipe.settings[options.load(name).settings]), fields)
            for name, fields in saved["worlds"].items()
        }
    except RLCoreError:
        raise
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(
            f"resume={str(folder)!r} is no run's folder ({error!r}); pass one under runs/."
        ) from error
    return options, configs


def from_dict(kind: Any, values: Mapping[str, Any]) -> Any:
    """Return the dataclass of which `asdict`, and a way through JSON, made these values."""
    hints = get_type_hints(kind)
    return kind(**{name: _field(hints[name], value) for name, value in values.items()})


def _field(kind: Any, value: Any) -> Any:
    if is_dataclass(kind):
        return from_dict(kind, value)
    return tuple(value) if isinstance(value, list) else value


def append_record(file: TextIO, record: Mapping[str, Any]) -> None:
    """Write one record as a line of metrics.jsonl."""
    print(json.dumps(record), file=file, flush=True)


def read_records(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of a metrics file by the name of their world."""
    records: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        records.setdefault(record["world"], []).append(record)
    return records


def truncate_metrics(path: Path, iterations: Mapping[str, int]) -> None:
    """Drop records newer than the checkpoints, which will come again."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # the program was killed while writing its last line
        if record["iteration"] <= iterations.get(record["world"], 0):
            lines.append(line)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
