"""Where tokens lie in the text that they were made of."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt


def ends_of(tokenizer: Any, encoded: Any) -> npt.NDArray[np.int64]:
    """Where each token ends, in characters, int64 (tokens,). Without the white space that a special token may swallow behind it,
    as Phi-3's do: that is the beginning of what follows."""
    ends = np.array([end for _, end in encoded["offset_mapping"]], dtype=np.int64)
    lengths = _swallowing(tokenizer)
    for place, token in enumerate(encoded["input_ids"] if lengths else ()):
        if token in lengths:
            start = encoded["offset_mapping"][place][0]
            ends[place] = min(ends[place], start + lengths[token])
    return ends


@lru_cache(maxsize=4)
def _swallowing(tokenizer: Any) -> dict[int, int]:
    return {id: len(str(token)) for id, token in tokenizer.added_tokens_decoder.items() if token.rstrip}
