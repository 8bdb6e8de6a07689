"""What the README says is what the repository holds."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.learning import VERSION, settings
from benchmarks.table import ANSWERS, LEARNING, PAGES, renewed
from lessons import ppo
from lessons.worlds import NAMES

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh.md")
GUIDES = ("docs/guide.md", "docs/guide.zh.md")
LONGEST = 120  # lines of a README: tables live in docs/


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_and_the_code_are_those_of_the_stored_runs_and_of_the_source(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert renewed(text, PAGES[page]) == text


@pytest.mark.parametrize("page", READMES)
def test_a_readme_is_short(page):
    assert len((ROOT / page).read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_the_stored_runs_of_this_version_were_made_with_the_settings_of_today():
    made = json.loads(LEARNING.read_text(encoding="utf-8"))["made"]
    made = {name: facts for name, facts in made.items() if facts["version"] == VERSION}
    assert made
    today = {name: json.loads(json.dumps(asdict(config))) for name, config in settings(tuple(made)).items()}
    assert {name: made[name]["config"] for name in made} == today


def test_the_pictures_and_answers_are_of_todays_settings():
    shown = json.loads(ANSWERS.read_text(encoding="utf-8"))["settings"]
    assert shown == {name: json.loads(json.dumps(asdict(ppo.SETTINGS[name]))) for name in NAMES}


@pytest.mark.parametrize("page", [*PAGES, *GUIDES, "CONTRIBUTING.md", "CHANGELOG.md", "lessons/README.md"])
def test_every_link_to_a_file_leads_to_one(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if not link.startswith("http")]
    assert links
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


@pytest.mark.parametrize("pages", [READMES, GUIDES], ids=["readme", "guide"])
def test_both_languages_name_the_same_commands_and_links(pages):
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in pages]
    for pattern in (r"python -m lessons[^#\n`]*", r"notebooks/\w+/(\w+)\.ipynb", r"`make [\w-]+`|^make [\w-]+"):
        matches = [sorted(match.strip() for match in re.findall(pattern, text, flags=re.MULTILINE)) for text in texts]
        assert matches[0] == matches[1]
