"""One protocol, three engines: transformers and vLLM in process, and any OpenAI-compatible endpoint."""

from primum.engine.open import open_engine, with_engines
from primum.engine.protocol import Engine, Report, Response

__all__ = ["Engine", "Report", "Response", "open_engine", "with_engines"]
