"""Chat templates: those that are shipped here, a system turn folded away, and the one that a known template is trained by."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError

from primum.errors import PrimumError

_MARK = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
# What transformers renders with, but for its tag: it is taken out.
_ENVIRONMENT = Environment(autoescape=False, extensions=["jinja2.ext.loopcontrols"])  # noqa: S701 - text, not a page
SHIPPED = ("alpaca", "bare", "plain")
# Put before a template: a system turn becomes the beginning of the user turn behind it, be their texts strings or lists of parts.
# The last tag keeps what a template begins with.
_FOLD = (
    "{%- if messages | length > 1 and messages[0]['role'] == 'system' and messages[1]['role'] == 'user' %}"
    "{%- set between = '\\n\\n' if messages[0]['content'] is string else [{'type': 'text', 'text': '\\n\\n'}] %}"
    "{%- set folded = messages[0]['content'] + between + messages[1]['content'] %}"
    "{%- set messages = [{'role': 'user', 'content': folded}] + messages[2:] %}"
    "{%- endif %}{{- '' }}"
)


def template_text(name: str, root: Path) -> str:
    """The template that an experiment names: one that is shipped, or a file of the project at ``root``.

    PrimumError when there is no such file, or when it is no jinja2 template.
    """
    if name in SHIPPED:
        return shipped(name)
    try:
        text = (root / name).read_text(encoding="utf-8")
        _ENVIRONMENT.from_string(_MARK.sub("", text))
    except (OSError, UnicodeDecodeError):
        raise PrimumError(f"template: {name}: no such file in the project; shipped are {', '.join(SHIPPED)}") from None
    except TemplateSyntaxError as error:
        raise PrimumError(f"template: {name}: line {error.lineno}: is no jinja2 template: correct it") from None
    return text


def shipped(name: str) -> str:
    """The text of a template in ``SHIPPED``.

    ``alpaca`` is Alpaca-LoRA's (https://github.com/tloen/alpaca-lora), by which arXiv 2403.03744 fine-tunes; a system turn
    stands in its first sentence's place. ``plain`` has the texts alone, with a blank line before a response and the end token
    behind it. ``bare`` has the texts with a blank line between them, and nothing behind the last one: what is asked, as it is.
    No training takes it, since a turn has no end.
    """
    return (resources.files("primum.text") / f"{name}.j2").read_text(encoding="utf-8")


def folded(template: str) -> str:
    """``template`` with a system turn, which it may refuse, at the beginning of the first user turn."""
    return template if is_folded(template) else _FOLD + template


def is_folded(template: str) -> bool:
    """Whether :func:`folded` made it."""
    return template.startswith(_FOLD)


def trained_by(template: str) -> str | None:
    """TRL's template for training a model with ``template``, which marks what is learned.

    None where TRL has none. It knows the templates of published models by their very text.
    """
    start = _FOLD if is_folded(template) else ""
    found = _of_trl().get(template.removeprefix(_FOLD))
    return None if found is None else start + found


def marks_turns(template: str) -> bool:
    """Whether it marks the assistant's turns (``{% generation %}``)."""
    return _MARK.search(template) is not None


@cache
def _of_trl() -> dict[str, str]:
    files = {file.name: file for file in (resources.files("trl") / "chat_templates").iterdir()}
    return {
        file.read_text(encoding="utf-8"): files[other].read_text(encoding="utf-8")
        for name, file in files.items()
        if (other := name.replace(".jinja", "_training.jinja")) in files
    }
