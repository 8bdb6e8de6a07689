"""What the README says is what the repository holds."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.learning import settings
from benchmarks.table import LEARNING, renewed

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "README.zh.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_results_are_those_of_the_stored_runs(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert renewed(text) == text
    assert "| rude |" in text and "| one polite sentence" in text


def test_the_stored_runs_were_made_with_the_settings_of_today():
    made = json.loads(LEARNING.read_text(encoding="utf-8"))["made"]
    today = {name: json.loads(json.dumps(asdict(config))) for name, config in settings(tuple(made)).items()}
    assert {name: made[name]["config"] for name in made} == today


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_every_link_to_a_file_leads_to_one(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert all((ROOT / link).exists() for link in links), links


def test_both_readmes_name_the_same_commands_and_links():
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    for pattern in (r"\.venv/bin/python -m [^#\n`]*", r"notebooks/\w+/\w+\.ipynb", r"`make \w+`|^make \w+"):
        found = [sorted(match.strip() for match in re.findall(pattern, text, flags=re.MULTILINE)) for text in texts]
        assert found[0] == found[1]
