"""Questions as rows of tokens, so that nothing is computed twice for the choices of one question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# (context ids, continuation ids of every choice)
Packed = tuple[list[int], list[list[int]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One choice: ``tokens[i]`` is predicted at place ``places[i]`` of its row."""

    question: int
    choice: int
    places: list[int]
    tokens: list[int]


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens as a tree in preorder: the token at ``k`` is seen by the places ``k .. ends[k] - 1``, its descendants.

    ``positions`` are absolute: depth in the tree, the shared prefix included. ``needed`` are the places whose logits
    some choice reads, in ascending order.
    """

    tokens: list[int]
    positions: list[int]
    ends: list[int]
    needed: list[int]
    asked: list[Asked]


def longest(question: Packed) -> int:
    """Tokens that the model reads for the question's longest choice; the last one is only predicted."""
    return len(question[0]) + max(map(len, question[1])) - 1


def tree(index: int, question: Packed, prefix: int) -> Row:
    """One row: the context without its first ``prefix`` tokens, then the choices, each token of a common start once.

    The last token of a choice is predicted and never read, so choices of one token add nothing to the context::

        context c c c, choices "a b x", "a d y", "e"

        place        0 1 2 3 4 5          c c c a b d
        token        c c c a b d        a x x x x . .
        position     0 1 2 3 4 4        b x x x x x .
        end          6 6 6 6 5 6        d x x x x . x
    """
    context, choices = question
    tokens, positions = context[prefix:], list(range(prefix, len(context)))
    root = len(tokens) - 1
    ends: dict[int, int] = {}
    places: dict[tuple[int, ...], list[int]] = {}
    path: list[int] = []
    before: tuple[int, ...] = ()
    # In lexicographic order, a choice shares more with its neighbour than with any other: a tree in preorder.
    for read in sorted({tuple(choice[:-1]) for choice in choices}):
        shared = common(before, read)
        for place in path[shared:]:
            ends[place] = len(tokens)
        path = path[:shared]
        for token in read[shared:]:
            path.append(len(tokens))
            positions.append(len(context) + len(path) - 1)
            tokens.append(token)
        before, places[read] = read, [root, *path]
    asked = [Asked(index, number, places[tuple(choice[:-1])], choice) for number, choice in enumerate(choices)]
    needed = sorted({place for each in asked for place in each.places})
    return Row(tokens, positions, [ends.get(place, len(tokens)) for place in range(len(tokens))], needed, asked)


def chains(index: int, question: Packed) -> Iterator[Row]:
    """One row a choice, plainly causal; choices that differ in their last token alone share one."""
    context, choices = question
    alike: dict[tuple[int, ...], list[int]] = {}
    for number, choice in enumerate(choices):
        alike.setdefault(tuple(choice[:-1]), []).append(number)
    for read, numbers in alike.items():
        tokens = [*context, *read]
        needed = list(range(len(context) - 1, len(tokens)))
        asked = [Asked(index, number, needed, choices[number]) for number in numbers]
        yield Row(tokens, list(range(len(tokens))), [len(tokens)] * len(tokens), needed, asked)


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens the two start with alike."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))
