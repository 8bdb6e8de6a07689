"""The critic beside the truth in a run's report: which states are tried, what is said of them, and the picture."""

from types import SimpleNamespace

import torch

from lessons.harness.report.true_value import Calibration, beside, draw_calibration, last_steps, verdict
from rl_core.true_values import TrueValues

LIVE = torch.ones(1, 3, dtype=torch.bool)


def truth_of_three():
    """Return true values of the last two of three steps, and the true advantage of the last."""
    known, last = torch.tensor([[False, True, True]]), torch.tensor([[False, False, True]])
    values, errors = torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.25, 0.5]])
    return TrueValues(values, errors, known, torch.tensor([[0.0, 0.0, -1.0]]), errors, last)


def chosen(where):
    return [row.nonzero().flatten().tolist() for row in where]


def test_pages_get_the_last_steps_of_two_rows_and_the_picture_some_of_four():
    mask = torch.arange(20) < torch.tensor([20, 5, 12, 1, 12])[:, None]
    assert chosen(last_steps(mask)) == [[*range(12, 20)], [0, 1, 2, 3, 4], [], [], []]
    assert chosen(last_steps(mask, rows=4, every=2)) == [[13, 15, 17, 19], [0, 2, 4], [5, 7, 9, 11], [0], []]


def test_a_step_is_told_with_what_is_known_of_it():
    batch = SimpleNamespace(mask=LIVE, values=torch.tensor([[3.0, 2.5, -0.001]]))
    assert beside(batch, truth_of_three(), 0) == [
        ("+3.00", "", ""),
        ("+2.50", "+2.00 ± 0.25", ""),
        ("0", "+1.00 ± 0.50", "-1.00 ± 0.50"),
    ]


def test_the_verdict_tells_the_bias_the_size_of_errors_and_whether_the_order_is_right():
    told = verdict(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 3.0]))
    assert told == "critic − truth: mean 0, mean size 1.00, correlation +1.00"
    assert verdict(torch.tensor([2.0, 2.0]), torch.tensor([0.0, 1.0])).endswith("mean +1.50, mean size 1.50")


def test_the_picture_is_drawn_where_a_critic_was_looked_at(tmp_path):
    batch = SimpleNamespace(mask=LIVE, values=torch.tensor([[3.0, 2.5, 0.5]]))
    calibration = Calibration.of(batch, truth_of_three())
    assert calibration.values.tolist() == [2.5, 0.5] and calibration.true.tolist() == [2.0, 1.0]
    draw_calibration([("pole", [])], tmp_path / "none.png")
    draw_calibration([("pole", []), ("words", [calibration, calibration])], tmp_path / "some.png")
    assert [path.name for path in tmp_path.iterdir()] == ["some.png"]
