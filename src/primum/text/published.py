"""A publication's own wordings, read from its code: how MedSafetyBench (Han et al. 2024) asks models, by family, and its judge.

The code is fetched at its commit and read as a syntax tree; nothing of it is ever run. A wording is a tuple of messages:
``system`` is a system turn, ``verbatim`` text that a model reads as it is, and ``place`` names what is filled in there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.text.rows import Message

VERBATIM, PLACE = "verbatim", "place"
_FAMILIES, _JUDGE, _TEXTS = "exp01_prompt_models.py", "exp02_eval_responses.py", "text_for_gpt_eval.py"
_PREFIX = "family_"
_UNKNOWN = "is not the code that this reads: take the pinned version"

Wording = tuple[Message, ...]


def family(code: Artifact, name: str) -> Wording:
    """How the models of a family (``llama2``, ``vicuna``) are asked a ``question``.

    PrimumError listing the families where the code has no such one.
    """
    file, tree = _read(code, _FAMILIES)
    texts: dict[str, Wording] = {}
    systems: dict[str, Wording] = {}
    for names, body in _branches(tree):
        for target, value in _assignments(body):
            if target == "sys_prompt":
                systems |= dict.fromkeys(names, _parts(value, file))
            elif target == "prompts_df['prompt']":
                texts |= dict.fromkeys(names, _parts(_of_row(value), file))
    if name not in texts:
        known = ", ".join(sorted(texts)) or "none"
        raise PrimumError(f"{code.name}: has no wording for the family {name!r}; there are: {known}")
    if name not in systems:
        return texts[name]
    return (Message("system", _text(systems[name], file)), *texts[name])


def judge(code: Artifact, policy: str) -> Wording:
    """What the judge is asked of a ``question`` and its ``response``, by the policy that the authors name by a set of requests.

    PrimumError listing these where the code has no such one.
    """
    file, tree = _read(code, _JUDGE)
    found = dict(_assignments([tree]))
    texts_file, texts_tree = _read(code, _TEXTS)
    texts = dict(_assignments([texts_tree]))
    policies = _named(texts, "usage_policy_dict", texts_file)
    asked, asker = _named(found, "eval_prompt", file), _named(found, "gpt", file)
    if not isinstance(policies, ast.Dict) or not isinstance(asker, ast.Call):
        raise PrimumError(f"{file}: {_UNKNOWN}")
    pairs = zip(policies.keys, policies.values, strict=True)
    by_name = {key.value: value for key, value in pairs if isinstance(key, ast.Constant)}
    chosen = by_name.get(policy)
    if not isinstance(chosen, ast.Name):
        known = ", ".join(sorted(map(str, by_name))) or "none"
        raise PrimumError(f"{code.name}: has no policy {policy!r}; there are: {known}")
    system = next((each.value for each in asker.keywords if each.arg == "sys_prompt"), None)
    filled_in = {
        "usage_policy": _text(_parts(_named(texts, chosen.id, texts_file), texts_file), texts_file),
        "rubric": _text(_parts(_named(texts, "rubric", texts_file), texts_file), texts_file),
    }
    parts = [
        Message(VERBATIM, filled_in[part.content]) if part.role == PLACE and part.content in filled_in else part
        for part in _parts(asked, file)
    ]
    spoken = () if system is None else (Message("system", _text(_parts(system, file), file)),)
    return (*spoken, *_joined(parts))


def filled(wording: Sequence[Message], values: Mapping[str, str]) -> Wording:
    """The wording as a conversation: each place is a ``user`` message with its value. PrimumError where one has no value."""
    for part in wording:
        if part.role == PLACE and part.content not in values:
            raise PrimumError(f"a published wording asks for {part.content!r}, which nothing here fills in")
    return tuple(Message("user", values[part.content]) if part.role == PLACE else part for part in wording)


def as_turns(conversation: Sequence[Message]) -> Wording:
    """A filled wording for a chat model: the system turn, and all else as one user turn."""
    spoken = [message for message in conversation if message.role == "system"]
    text = "".join(message.content for message in conversation if message.role != "system")
    return (*spoken, Message("user", text))


def is_text(conversation: Sequence[Message]) -> bool:
    """Whether a model reads it as it is, without a chat template."""
    return any(message.role == VERBATIM for message in conversation)


# The syntax tree ------------------------------------------------------------------------------------------------------


def _read(code: Artifact, name: str) -> tuple[str, ast.Module]:
    found = [path for path in sorted(code.manifest.files) if path.rpartition("/")[2] == name]
    if len(found) != 1:
        raise PrimumError(f"{code.name}: has no one file {name}: name the code of MedSafetyBench")
    try:
        return found[0], ast.parse(code.file(found[0]).read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise PrimumError(f"{found[0]}: is no Python source: fetch it again") from None


def _branches(tree: ast.AST) -> Iterator[tuple[list[str], list[ast.stmt]]]:
    """Of each ``if args.model_name in family_a + family_b:`` the families and what follows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and isinstance(node.test.ops[0], ast.In):
            names = [each.id for each in ast.walk(node.test.comparators[0]) if isinstance(each, ast.Name)]
            if names and all(name.startswith(_PREFIX) for name in names):
                yield [name.removeprefix(_PREFIX) for name in names], node.body


def _assignments(body: Sequence[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """What is assigned in ``body``, however deep, by the source of its target."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                yield ast.unparse(node.targets[0]), node.value


def _named(found: Mapping[str, ast.expr], name: str, file: str) -> ast.expr:
    if name not in found:
        raise PrimumError(f"{file}: assigns no {name}: it {_UNKNOWN}")
    return found[name]


def _of_row(value: ast.expr) -> ast.expr:
    """What is computed of each row: the body of the lambda that is applied, or a column itself."""
    if isinstance(value, ast.Call) and value.args and isinstance(value.args[0], ast.Lambda):
        return value.args[0].body
    return value


def _parts(value: ast.expr, file: str) -> Wording:
    """A text, a sum of texts or an f-string as parts; a variable, or a column of a row, is a place of its name."""
    return tuple(_joined(list(_pieces(value, file))))


def _pieces(value: ast.expr, file: str) -> Iterator[Message]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield Message(VERBATIM, value.value)
    elif isinstance(value, ast.JoinedStr):
        for each in value.values:
            yield from _pieces(each, file)
    elif isinstance(value, ast.FormattedValue) and value.conversion == -1 and value.format_spec is None:
        yield from _pieces(value.value, file)
    elif isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        yield from _pieces(value.left, file)
        yield from _pieces(value.right, file)
    elif isinstance(value, ast.Name):
        yield Message(PLACE, value.id)
    elif isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
        yield Message(PLACE, str(value.slice.value))
    else:
        raise PrimumError(f"{file} line {value.lineno}: is no text: it {_UNKNOWN}")


def _joined(parts: Sequence[Message]) -> list[Message]:
    """Parts with neighbouring texts as one."""
    found: list[Message] = []
    for part in parts:
        if found and part.role == found[-1].role == VERBATIM:
            found[-1] = Message(VERBATIM, found[-1].content + part.content)
        else:
            found.append(part)
    return found


def _text(parts: Sequence[Message], file: str) -> str:
    if any(part.role != VERBATIM for part in parts):
        raise PrimumError(f"{file}: {_UNKNOWN}: a text of it is not constant")
    return "".join(part.content for part in parts)
