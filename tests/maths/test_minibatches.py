"""Deals of rows into minibatches: everybody once, like with like, and by chance."""

from collections import Counter

import pytest
import torch

from rl_core.minibatches import grouped_by_length, shuffled
from tests.support.worlds import seeded

LENGTHS = torch.tensor([5, 1, 3, 3, 9, 2, 3, 7, 1, 4])


@pytest.mark.parametrize("count, parts, sizes", [(10, 4, [3, 3, 2, 2]), (4, 4, [1, 1, 1, 1]), (5, 1, [5])])
def test_a_shuffled_deal_has_every_row_once_in_parts_of_like_size(count, parts, sizes):
    deals = [shuffled(count, parts, seeded(seed)) for seed in (0, 0, 1)]
    for deal in deals:
        assert [len(index) for index in deal] == sizes and sorted(torch.cat(deal).tolist()) == list(range(count))
    assert torch.equal(torch.cat(deals[0]), torch.cat(deals[1]))


def test_rows_of_like_length_come_together_every_row_once():
    for seed in range(20):
        deal = grouped_by_length(LENGTHS, 4, seeded(seed))
        assert sorted(torch.cat(deal).tolist()) == list(range(10)) and sorted(map(len, deal)) == [2, 4, 4]
        lengths = sorted(sorted(LENGTHS[index].tolist()) for index in deal)
        assert lengths == [[1, 1, 2, 3], [3, 3, 4, 5], [7, 9]]


def test_which_of_equals_come_together_and_which_minibatch_comes_first_is_chance():
    deals = [grouped_by_length(LENGTHS, 4, seeded(seed)) for seed in range(300)]
    with_shortest = [next(index for index in deal if 1 in index.tolist()) for deal in deals]
    threes = Counter(row for index in with_shortest for row in index.tolist() if LENGTHS[row] == 3)
    assert sorted(threes) == [2, 3, 6] and min(threes.values()) > 70  # 100 each are expected; 4 standard deviations
    first = Counter(LENGTHS[deal[0]].min().item() for deal in deals)
    assert sorted(first) == [1, 3, 7] and min(first.values()) > 70


def test_a_generator_of_the_same_seed_deals_the_same():
    one, two, other = (grouped_by_length(LENGTHS, 4, seeded(seed)) for seed in (0, 0, 1))
    assert all(map(torch.equal, one, two))
    assert not torch.equal(torch.cat(one), torch.cat(other))
