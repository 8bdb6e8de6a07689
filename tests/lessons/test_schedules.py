"""Learning rates of the lessons: every number of turns has a way up and down."""

import math

import pytest
import torch

from lessons.harness.build import one_cycle, schedule_of
from lessons.harness.settings import Settings


def rates(build, moves):
    """Return the learning rate before each of so many moves, and after the last."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = build(optimizer)
    seen = [optimizer.param_groups[0]["lr"]]
    for _ in range(moves):
        optimizer.step()
        schedule.step()
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


@pytest.mark.parametrize("climb", [0.05, 0.1])
def test_one_cycle_has_a_way_for_every_number_of_turns(climb):
    for moves in range(1, 101):  # torch divides by zero where the climb has no width, at 9 and at 19
        seen = rates(lambda optimizer, m=moves: one_cycle(optimizer, 1.0, m, climb=climb), moves)
        top = seen.index(max(seen))
        assert all(math.isfinite(rate) and 0 <= rate <= 1 for rate in seen) and seen[-1] < 1e-5
        assert top <= climb * (moves + 1) and seen[:top] == sorted(seen[:top])
        assert seen[top:] == sorted(seen[top:], reverse=True)


def test_a_climb_without_width_is_left_out():
    before, at, after = (rates(lambda o, m=m: one_cycle(o, 1.0, m, climb=0.1), m) for m in (8, 9, 10))
    assert at[0] == pytest.approx(1, abs=1e-6) and 0.99 < before[0] < 1 and after[0] == pytest.approx(1 / 25)
    assert before[1] < at[1] < after[1]


@pytest.mark.parametrize("name", ["linear", "one_cycle", "constant"])
@pytest.mark.parametrize("turns", [1, 2, 9, 19])
def test_every_schedule_runs_for_any_number_of_turns(name, turns):
    settings = Settings(schedule=name, iterations=turns, learning_rate=1.0)
    assert all(0 <= rate <= 1 for rate in rates(lambda optimizer: schedule_of(optimizer, settings), turns))
