"""``primum export --format sbom``: the software that a lock names, and a run's models and datasets, as a CycloneDX 1.6 document.

Versions and who needs whom are the lock's. Licences are those of the packages that are installed here in the same version; of
others they are left out. The locks hold no checksums of packages, and so neither does the document: models and files have theirs.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from primum.artifact.folder import file_sha256
from primum.artifact.manifest import Manifest
from primum.dag.curation import RAW
from primum.dag.training import MODEL
from primum.errors import PrimumError
from primum.export.lineage import datasets_of
from primum.export.sources import places

_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)$")
_VIA = re.compile(r"^ +# +(?:via )?(\S.*)$")
_SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # of addresses, RFC 9562
_LONGEST = 64
Manifests = Mapping[str, Manifest]


def library() -> None:
    """PrimumError, with the remedy, where cyclonedx-python-lib is not installed."""
    try:
        import cyclonedx.output.json
    except ModuleNotFoundError as error:
        raise PrimumError(
            f"an SBOM needs cyclonedx-python-lib ({error.name} is not installed): pip install 'cyclonedx-python-lib>=11,<12', "
            "which is in primum's extra 'export'"
        ) from None
    del cyclonedx


def read_lock(path: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The version of each package of a lock, and the packages (or ``.in`` files) that need it."""
    versions: dict[str, str] = {}
    needed: dict[str, list[str]] = {}
    name = ""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise PrimumError(f"{path}: cannot be read: restore it from the project, or run make lock") from None
    for line in lines:
        if pin := _PIN.match(line):
            name = pin[1]
            versions[name], needed[name] = pin[2], []
        elif name and (via := _VIA.match(line)) and via[1] != "via":
            needed[name].append(via[1])
    return versions, needed


def bom_text(root: Path, experiment: Mapping[str, Any] | None, manifests: Manifests) -> str:
    """The document as JSON, of the clone at ``root`` and, where an ``experiment`` is given, its models and datasets.

    ``manifests`` are those of its artifacts by name (``models/sft``). The same lock and results give the same document.
    PrimumError where the library is not installed.
    """
    library()
    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    on_gpus = any("vllm" in manifest.spec.get("libraries", {}) for manifest in manifests.values())
    lock = root / "envs" / ("gpu.lock" if on_gpus else "cpu.lock")
    versions, needed = read_lock(lock)
    own = Component(
        name="primum",
        version=version("primum"),
        type=ComponentType.APPLICATION,
        bom_ref="primum",
        licenses=[_licence("Apache-2.0")],
    )
    found = [
        Property(name="primum:lock", value=lock.name),
        Property(name="primum:lock-sha256", value=file_sha256(lock)),
    ]
    bom = Bom(metadata=BomMetaData(component=own, properties=found))
    packages = {name: _package(name, pin) for name, pin in versions.items()}
    models = {} if experiment is None else dict(_models(experiment, manifests))
    data = {} if experiment is None else dict(_data(experiment, manifests))
    for component in (*packages.values(), *models.values(), *data.values()):
        bom.components.add(component)
    users: dict[str, list[Any]] = {}
    for name, by in needed.items():
        for user in by:
            users.setdefault(user, []).append(packages[name])
    for name, component in packages.items():
        bom.register_dependency(component, users.get(name, []))
    top = [part for user, parts in users.items() if user not in packages for part in parts]
    bom.register_dependency(own, [*top, *models.values()])
    for name, component in models.items():
        before = _made_of(experiment or {}, name)
        bom.register_dependency(component, [part[each] for part, each in _known(before, models, data)])
    for component in data.values():
        bom.register_dependency(component)
    bom.metadata.timestamp = None  # type: ignore[assignment]
    bom.serial_number = uuid.UUID(int=0)
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    bom.serial_number = uuid.uuid5(_SPACE, text)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _package(name: str, pin: str) -> Any:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    return Component(
        name=name,
        version=pin,
        type=ComponentType.LIBRARY,
        bom_ref=f"pkg:pypi/{name}@{pin}",
        purl=PackageURL("pypi", None, name, pin),
        licenses=[_licence(said)] if (said := stated_licence(name, pin)) else [],
    )


def stated_licence(name: str, pin: str) -> str:
    """What the installed package says of its licence, if it is of the version ``pin``; else, or where it says nothing, empty."""
    try:
        known = distribution(name)
    except PackageNotFoundError:
        return ""
    metadata: Any = known.metadata
    if known.version.split("+")[0] != pin:
        return ""
    said = str(metadata.get("License-Expression") or metadata.get("License") or "").strip()
    if said and len(said) <= _LONGEST and "\n" not in said:
        return said
    listed = [each for each in metadata.get_all("Classifier") or [] if each.startswith("License :: ")]
    return next((each.rpartition(" :: ")[2] for each in listed), "")


def _licence(said: str) -> Any:
    from cyclonedx.contrib.license.factories import LicenseFactory

    return LicenseFactory().make_from_string(said)


def _models(experiment: Mapping[str, Any], manifests: Manifests) -> Iterator[tuple[str, Any]]:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    for name, entry in experiment["models"].items():
        manifest = manifests.get(_name(MODEL.format(model=name)))
        if manifest is None:
            continue
        hub, revision = entry.get("hub"), entry.get("revision")
        group, _, last = (hub or "").rpartition("/")
        yield (
            name,
            Component(
                name=hub or name,
                version=revision if hub else manifest.content,
                type=ComponentType.MACHINE_LEARNING_MODEL,
                bom_ref=f"model:{name}",
                description=entry.get("title") or None,
                purl=PackageURL("huggingface", group or None, last, revision) if hub else None,
                licenses=[_licence(entry["license"])] if entry.get("license") else [],
                properties=_properties(manifest),
            ),
        )


def _data(experiment: Mapping[str, Any], manifests: Manifests) -> Iterator[tuple[str, Any]]:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component, ComponentType

    for name, entry in experiment["datasets"].items():
        manifest = manifests.get(_name(RAW.format(dataset=name)))
        if manifest is None:
            continue
        licence = entry.get("license") or ""
        yield (
            name,
            Component(
                name=name,
                version=entry.get("revision") or manifest.content,
                type=ComponentType.DATA,
                bom_ref=f"data:{name}",
                description=entry.get("title") or None,
                licenses=[_licence(licence)] if licence and licence.lower() != "unknown" else [],
                external_references=[
                    ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(place.address))
                    for place in places(manifest)
                    if place.address
                ],
                properties=_properties(manifest),
            ),
        )


def _name(template: str) -> str:
    return template.removesuffix("/manifest.json")


def _properties(manifest: Manifest) -> list[Any]:
    """The content hash and key of an artifact, and the sha256 of each of its files."""
    from cyclonedx.model import Property

    files = [Property(name=f"primum:sha256:{name}", value=sha256) for name, sha256 in manifest.files.items()]
    return [
        Property(name="primum:content", value=manifest.content),
        Property(name="primum:key", value=manifest.key),
        *files,
    ]


def _made_of(experiment: Mapping[str, Any], model: str) -> Sequence[str]:
    """The model that ``model`` was trained from, and the datasets that it learned from."""
    entry = experiment["models"][model]
    data = entry.get("data") or ""
    if entry.get("train") == "dpo":
        read = datasets_of(experiment["preferences"][data])
    else:
        sources = experiment.get("mixtures", {}).get(data, {}).get("sources", {})
        read = [source["dataset"] for source in sources.values()]
    return [*filter(None, [entry.get("from")]), *dict.fromkeys(read)]


def _known(names: Sequence[str], *parts: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each name with the first of ``parts`` that has it."""
    for name in names:
        for part in parts:
            if name in part:
                yield part, name
                break
