"""What the stages did that bring, read, mix, pair and pack data, each in a sentence."""

from __future__ import annotations

from primum.trace.words import Said, hidden, number, plural, told


def fetch(said: Said) -> str:
    """Raw files."""
    said.get("files")
    files, place = plural(said.count("files"), "raw file"), said.get("hub") or said.get("git")
    revision = said.get("revision")
    source = f" from {told(place)}" + (f" at revision {told(revision)}" if revision else "") if place else ""
    return f"Brought {files} here{source} and verified each checksum."


def snapshot(said: Said) -> str:
    """A published model, or the name of one behind an endpoint."""
    if endpoint := said.get("endpoint"):
        return f"Named the model {told(endpoint)} behind the endpoint {told(said.get('base_url'))}. Its weights are not here."
    return f"Brought the published model {told(said.get('hub'))} here, at revision {told(said.get('revision'))}."


def read_rows(said: Said) -> str:
    """The rows of a dataset."""
    said.get("dataset")
    return f"Read {plural(said.count('rows'), 'row')} from its raw files with the adapter {told(said.get('adapter'))}."


def read_drops(said: Said) -> str:
    """What an adapter left out."""
    said.get("dataset")
    dropped = sum(value for value in said.counts.values() if isinstance(value, int))
    return f"Listed what the adapter {told(said.get('adapter'))} left out, and why: {plural(dropped, 'record')}."


def read_origins(said: Said) -> str:
    """Where each row came from."""
    said.get("dataset")
    adapter = told(said.get("adapter"))
    return f"Wrote down the raw file and the line that each row came from, with the adapter {adapter}."


def _mixed(said: Said) -> str:
    """How a mixture is made, for all that is made with it."""
    sources, order = said.get("sources") or {}, said.get("order") or []
    drawn = [name for name in order if (sources.get(name) or {}).get("take") is not None]
    repeated = [name for name in order if (sources.get(name) or {}).get("repeat", 1) != 1]
    words = plural(len(sources), "source")
    if drawn:
        words += "; took " + ", ".join(f"{number(sources[name]['take'])} of {told(name)}" for name in drawn)
    if repeated:
        words += "; repeated " + ", ".join(f"{told(name)} {number(sources[name]['repeat'])} times" for name in repeated)
    if (kind := said.get("deduplicate")) not in (None, False, "none"):
        near = f" (similar at {number(said.get('near_threshold'))})" if kind == "near" else ""
        words += f"; removed duplicates: {told(kind)}{near}"
    benchmarks, ngram = said.get("benchmarks") or [], said.get("ngram")
    if said.get("decontaminate"):
        sets = plural(len(benchmarks), "benchmark dataset")
        words += f"; removed what shares {told(ngram)} words in a row with {sets}"
    return f"{words}; seed {told(said.get('seed'))}"


def _dropped(said: Said) -> str:
    dropped = {key: value for key, value in said.left_counts().items() if isinstance(value, int) and value}
    for key in said.counts:
        said.count(key)
    reasons = ", ".join(f"{number(value)} {told(key)}" for key, value in sorted(dropped.items(), key=lambda e: -e[1]))
    return f"{number(sum(dropped.values()))} left out" + (f" ({reasons})" if reasons else "")


def mix_rows(said: Said) -> str:
    """The rows of a mixture."""
    name, kept = told(said.get("mixture")), said.count("kept")
    how = _mixed(said)
    return f"Mixed {how}. Of the mixture {name}, {plural(kept, 'row')} kept, {_dropped(said)}."


def mix_ledger(said: Said) -> str:
    """What became of the rows of each source."""
    name, kept = told(said.get("mixture")), said.count("kept")
    said.get("licences"), _mixed(said)
    return f"Counted what of each source of {name} was kept and left out: {plural(kept, 'row')} kept, {_dropped(said)}."


def mix_outcomes(said: Said) -> str:
    """What became of each row of the sources."""
    name, kept = told(said.get("mixture")), said.count("kept")
    _mixed(said)
    return f"Wrote down what became of each row of the sources of {name}: {plural(kept, 'row')} kept, {_dropped(said)}."


def mix_phi(said: Said) -> str:
    """Places of identifiers."""
    _mixed(said)
    return f"Listed where the mixture {told(said.get('mixture'))} may hold identifiers of people."


def pairs(said: Said) -> str:
    """Preference pairs of datasets."""
    kept = plural(said.count("kept"), "pair")
    return f"Joined the preference pairs of {said.of('rows', 3)}: {kept} kept, {_dropped(said)}; seed {told(said.get('seed'))}."


def overlap(said: Said) -> str:
    """Benchmark items in training data."""
    benchmarks = plural(len(said.get("benchmarks") or []), "benchmark dataset")
    where, ngram = f"{plural(said.count('rows'), 'row')} of {said.of('data')}", told(said.get("ngram"))
    found = plural(said.count("items"), "benchmark item")
    return f"Looked for {ngram} words in a row of {benchmarks} in {where}: found {found} there."


def template(said: Said) -> str:
    """Which chat template a training renders conversations with."""
    text = said.get("template")
    return f"the chat template that the experiment names ({hidden(text)})" if text else "the model's own chat template"


def pack_chunks(said: Said) -> str:
    """Packed chunks."""
    chunks, samples = plural(said.count("chunks"), "chunk"), plural(said.count("packed"), "sample")
    learned = "all tokens" if said.get("train_on_inputs") else "answers alone"
    size = told(said.get("chunk_tokens"))
    return (
        f"Rendered {said.of('mixture')} with {template(said)} and packed {samples} into {chunks} of {size} tokens. "
        f"The loss is on {learned}: {plural(said.count('loss-tokens'), 'token')} of {number(said.count('tokens'))}."
    )


def audit(said: Said) -> str:
    """The audit of what is about to be learned."""
    data = said.of("mixture") if "mixture" in said.names else said.of("pairs")
    said.get("template")
    return f"Audited what is about to be learned from {data}, each check against its limit."


def tokens(said: Said) -> str:
    """Tokens by source."""
    return f"Counted the tokens that each source of {said.of('mixture')} brings: {number(said.count('tokens'))} in all."


def pair(said: Said) -> str:
    """Pairs of ranked responses."""
    kept = plural(said.count("kept"), "pair")
    seed = told(said.get("seed"))
    return f"Took the best response to each prompt against the worst: {kept} kept, {_dropped(said)}; seed {seed}."


def contrast(said: Said) -> str:
    """Pairs of safety demonstrations and harmful responses."""
    kept, least = plural(said.count("kept"), "pair"), told(said.get("at_least"))
    shares = f"{told(said.get('take'))} demonstrations, {told(said.get('benign') or 0)} benign prompts"
    return (
        f"Set each safety demonstration against the response of a model that was judged at least {least}: {kept} of {shares}, "
        f"seed {told(said.get('seed'))}."
    )
