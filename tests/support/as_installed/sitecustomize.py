"""Python reads this in the processes that tests start: what they can import is what an installation has.

transformers loads scikit-learn wherever it is there, which takes a second of every process that loads a model. It comes with
lm-eval alone, and only tests need lm-eval.
"""

import sys

sys.modules["sklearn"] = None  # type: ignore[assignment]
