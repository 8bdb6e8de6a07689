"""Numbers and tables, as people read them."""

import doctest

import pytest

from lessons.harness.report import numbers
from lessons.harness.report.numbers import markdown_table, number, percent, signed


def test_the_examples_in_the_docstrings_hold():
    outcome = doctest.testmod(numbers)
    assert outcome.attempted == 4 and not outcome.failed


@pytest.mark.parametrize(
    "value, text",
    [(-0.0, "0"), (-1e-9, "0.00"), (-0.0049, "0.00"), (99.994, "99.99"), (100.4, "100"), (-1234.5, "-1,234"),
     (0.9949, "0.99"), (0.9951, "0.995"), (0.99949, "0.999"), (0.9999, ">0.999"),
     (1.0, "1"), (17, "17"), (2.5, "2.50"), (float("inf"), "inf")],
)  # fmt: skip
def test_a_number_has_the_digits_that_it_deserves(value, text):
    assert number(value) == text


@pytest.mark.parametrize("value", [-0.0, -1e-9, -0.00049])
def test_nothing_that_rounds_to_zero_has_a_sign(value):
    assert number(value) in ("0", "0.00")
    assert signed(value) == "0"
    assert percent(value) == "0.0%"


def test_a_sign_stands_before_everything_else():
    assert [signed(value, 3) for value in (0.0006, -0.0006, 12)] == ["+0.001", "-0.001", "+12.000"]


def test_a_share_stands_before_its_interval():
    assert percent(0.9786, (0.95, 0.9912)) == "97.9% [95.0%, 99.1%]"
    assert percent(1, [0.89, 1], digits=0) == "100% [89%, 100%]"


def test_a_table_shows_what_would_be_markup():
    text = markdown_table(["a", "b"], [["x|y", "<b>"], ["one\ntwo", "1 < 2"]], align="lr")
    assert text.splitlines() == ["| a | b |", "|---|---:|", r"| x\|y | &lt;b> |", "| one⏎two | 1 < 2 |"]
