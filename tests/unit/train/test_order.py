"""A training takes each row once an epoch, in an order that the number of processes has no part in."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from primum.train.order import InOrder, Order


@given(rows=st.integers(1, 30), wanted=st.integers(0, 100), seed=st.integers(0, 1000))
def test_every_row_is_there_once_an_epoch(rows: int, wanted: int, seed: int) -> None:
    order = list(Order(rows, wanted, seed))
    assert len(order) == len(Order(rows, wanted, seed)) == wanted
    for first in range(0, wanted, rows):
        epoch = order[first : first + rows]
        assert sorted(set(epoch)) == sorted(epoch)
        assert set(epoch) <= set(range(rows))
    assert order == list(Order(rows, wanted + 7, seed))[:wanted], "a longer training begins alike"


def test_epochs_are_those_of_the_seeds_that_follow() -> None:
    order = list(Order(9, 27, 5))
    assert order[9:18] == list(Order(9, 9, 6))
    assert order[:9] != order[9:18]


def test_the_batches_of_a_trainer_are_filled_and_are_as_many_as_its_steps() -> None:
    """Of 7 rows 3 batches of 4 are taken, by 1 process or 2, at once or accumulated: 5 rows of a second epoch among them."""
    orders = []
    for micro, accumulated, processes in ((4, 1, 1), (2, 2, 1), (1, 2, 2), (2, 1, 2)):
        trainer = InOrder()
        trainer.train_dataset = range(7)
        trainer.args = SimpleNamespace(
            max_steps=3,
            train_batch_size=micro,
            gradient_accumulation_steps=accumulated,
            world_size=processes,
            data_seed=1,
            dataloader_drop_last=False,
        )
        orders.append(list(trainer._get_train_sampler()))
    assert [len(order) for order in orders] == [12] * 4
    assert all(order == orders[0] for order in orders)


def test_the_last_batch_of_an_epoch_is_dropped_where_that_is_asked() -> None:
    """Of 7 rows in batches of 3 an epoch has 6; fewer rows than a batch has are taken again."""
    arguments = {"train_batch_size": 3, "gradient_accumulation_steps": 1, "world_size": 1, "data_seed": 1}
    trainer = InOrder()
    trainer.train_dataset = range(7)
    trainer.args = SimpleNamespace(max_steps=4, dataloader_drop_last=True, **arguments)
    order = list(trainer._get_train_sampler())
    assert order == [*list(Order(7, 7, 1))[:6], *list(Order(7, 7, 2))[:6]]
    trainer.train_dataset = range(2)
    assert list(trainer._get_train_sampler()) == list(Order(2, 12, 1))
