"""The example with three numbers in the docstring of every loss and advantage runs, and shows what it says."""

import doctest
from inspect import getmodule

import pytest

import rl_core.losses
from rl_core import advantages

LOSSES = [getattr(rl_core.losses, name) for name in rl_core.losses.__all__]
ADVANTAGES = [
    advantages.gae,
    advantages.normalize,
    advantages.kl_shaped_rewards,
    advantages.group_advantages,
    advantages.leave_one_out_advantages,
]


@pytest.mark.parametrize("function", [*LOSSES, *ADVANTAGES], ids=lambda function: function.__name__)
def test_the_example_of_a_docstring_is_true(function):
    (example,) = doctest.DocTestFinder(recurse=False).find(function, globs=vars(getmodule(function)).copy())
    assert example.examples
    report = []
    assert doctest.DocTestRunner().run(example, out=report.append).failed == 0, "".join(report)


def test_an_example_that_is_not_true_is_found_out():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner().run(wrong, out=lambda text: None).failed == 1
