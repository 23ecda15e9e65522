"""What this machine has, what works, and what to do about what does not. Works where torch or faiss are missing."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from memorag_core.config import Profile, Settings
from memorag_core.context.shared import open_store
from memorag_core.context.store import ContextStore
from memorag_core.errors import InputError, MemoRAGError
from memorag_core.models import embedded, hub
from memorag_core.models.api.endpoints import ENDPOINTS, is_remote
from memorag_core.models.api.nearby import find_nearby
from memorag_core.models.profiles import GIB, choose_profile, suggest_generator
from memorag_core.models.weights import choose_device, model_is_here
from memorag_mcp.http.address import ListenAddress
from memorag_mcp.http.tokens import Tokens, tokens_file

PYTHONS = ((3, 11), (3, 14))
PACKAGES = {"transformers": "transformers", "sentence_transformers": "sentence-transformers", "mcp": "mcp"}
EXTRAS = {"gpu": ("FlagEmbedding", "minference", "bitsandbytes"), "api": ("openai",)}
LITTLE_SPACE = GIB
OTHERS = 0o077

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. A `problem` keeps the main job from running, a `note` does not; `todo` says what helps."""

    what: str
    state: State
    found: str
    todo: str = ""


def examine(settings: Settings) -> list[Check]:
    """All checks, in the order in which to mend what they find."""
    torch, torch_check = _import("torch", "pip install torch")
    _, faiss_check = _import("faiss", 'pip install "memorag-mcp[cpu]"')
    return [
        _python(),
        _machine(),
        torch_check,
        faiss_check,
        *(_package(module, name) for module, name in PACKAGES.items()),
        *(_extra(name, modules) for name, modules in EXTRAS.items()),
        _apis(),
        *([_device(settings, torch)] if torch else []),
        *_profile_and_models(settings, torch is not None),
        *_store(open_store(settings)),
        *_owners(settings.store),
        _port(ListenAddress(tokens_file(settings.store, None))),
    ]


def _python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    if PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
        return Check("Python", "ok", found)
    return Check("Python", "problem", found, "Use Python 3.11, 3.12 or 3.13.")


def _machine() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{os.cpu_count()} CPU cores, {_gib(memory.total)} memory ({_gib(memory.available)} free)"
    return Check("machine", "ok", f"{found}, {platform.system()} {platform.machine()}")


def _import(module: str, install: str) -> tuple[Any, Check]:
    """A package with native parts, imported to see that they load; None where they do not."""
    if importlib.util.find_spec(module) is None:
        return None, Check(module, "problem", "not installed", install)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of no use to who asks what works
            loaded = importlib.import_module(module)
    except Exception as error:  # a broken package fails in many ways, and the doctor outlives each
        return None, Check(module, "problem", f"installed, but does not load ({error})", f"Reinstall it: {install}")
    return loaded, Check(module, "ok", str(getattr(loaded, "__version__", "installed")))


def _package(module: str, name: str) -> Check:
    if importlib.util.find_spec(module) is None:
        return Check(name, "problem", "not installed", f"pip install {name}")
    return Check(name, "ok", _version(name))


def _extra(name: str, modules: tuple[str, ...]) -> Check:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return Check(f"extra {name}", "ok", ", ".join(modules))
    install = f'Only if you want it: pip install "memorag-mcp[{name}]"'
    return Check(f"extra {name}", "note", f"not installed: {', '.join(missing)}", install)


def _apis() -> Check:
    """The kinds of API that could be asked; of the keys, no more than that they are set."""
    usable = [kind for kind, endpoint in ENDPOINTS.items() if not endpoint.missing]
    return Check("APIs", "ok", f"set in the environment, or without a key: {', '.join(usable)}")


def _device(settings: Settings, torch: Any) -> Check:
    """The device that models are put on, and that it is there."""
    device = choose_device(settings)
    kind, _, number = device.partition(":")
    if kind == "cuda":
        if int(number or 0) < torch.cuda.device_count():
            free, total = torch.cuda.mem_get_info(device)
            name = torch.cuda.get_device_name(device)
            return Check("device", "ok", f"{device}: {name}, {_gib(free)} of {_gib(total)} free")
        return _no_device(device)
    if kind == "mps" and not torch.backends.mps.is_available():
        return _no_device(device)
    return Check("device", "ok", device if kind == "mps" else f"{device}, no GPU in use")


def _no_device(device: str) -> Check:
    return Check(
        "device", "problem", f"{device} is not here", "Use --device auto, or install a torch that supports it."
    )


def _profile_and_models(settings: Settings, has_torch: bool) -> Iterator[Check]:
    if settings.profile == "auto" and not has_torch:
        settings = settings.model_copy(update={"profile": "tiny"})  # choosing by hardware needs torch
    try:
        profile = choose_profile(settings)
    except InputError as error:
        yield Check("profile", "problem", f"'{settings.profile}' is unknown", str(error))
        return
    yield Check("profile", "ok", f"{profile.name}: {profile.fits}")
    for name in _names(profile):
        yield _model(name, settings.models_dir)
    if profile.extracts and has_torch:
        found = "too small to write: answers are whole sentences of the text"
        yield Check("generator", "note", found, f"For written answers, {suggest_generator(settings, find_nearby())}")


def _names(profile: Profile) -> list[str]:
    """The models of a profile, each once; the generator `memory` is the memory model."""
    names = (profile.memory_model, profile.embedder, profile.reranker, profile.entailment, profile.generator)
    return [name for name in dict.fromkeys(names) if name and name != "memory"]


def _model(name: str, models_dir: Path) -> Check:
    what = f"model {name}"
    if is_remote(name):
        missing = ENDPOINTS[name.partition(":")[0]].missing
        todo = f"Set {' and '.join(missing)} in the environment." if missing else ""
        return Check(what, "problem" if missing else "ok", "behind an API", todo)
    if hub.is_id(name) and name not in embedded.WHEELS and Path(name).exists():
        return Check(what, "problem", "an id on the hub, and a folder here", f"Write ./{name} if you mean the folder.")
    if model_is_here(name, models_dir):
        return Check(what, "ok", f"in {models_dir}" if name in embedded.WHEELS else "here")
    if name not in embedded.WHEELS:
        return Check(
            what, "note", "neither a folder nor in the hub's cache", f"With access to the hub: hf download {name}"
        )
    if importlib.util.find_spec("pip") is None:
        return Check(what, "problem", "not fetched, and pip, which fetches it, is missing", "python -m ensurepip")
    size = embedded.WHEELS[name].megabytes
    return Check(what, "note", f"not in {models_dir}; fetched at first use ({size} MB)", "memorag models --fetch")


def _store(store: ContextStore) -> Iterator[Check]:
    """The folder of contexts, then each context that is damaged; every file is compared with its checksum."""
    there = next(path for path in (store.root, *store.root.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Check("store", "problem", f"{there} is not a folder to write in", "Choose another with --store FOLDER.")
        return
    free = shutil.disk_usage(there).free
    found = f"{store.root} (contexts: {len(store.ids())}), {_gib(free)} free"
    if free < LITTLE_SPACE:
        yield Check("store", "note", found, "Free some space, or choose another folder with --store FOLDER.")
    else:
        yield Check("store", "ok", found)
    yield from _damage(store)


def _damage(store: ContextStore) -> Iterator[Check]:
    for context_id in store.ids():
        try:
            store.reading(context_id, lambda folder, manifest: manifest.verify(folder))
        except MemoRAGError as error:
            yield Check(f"context {context_id}", "note", "cannot be used", str(error))


def _owners(store: Path) -> Iterator[Check]:
    """The tokens of a server that listens, and what their owners memorized, where there is any of it."""
    tokens = Tokens(tokens_file(store, None))
    try:
        names = {name for name, _ in tokens.entries()}
    except InputError as error:
        yield Check("tokens", "problem", "cannot be used", str(error))
        names = set()
    if names and os.name != "nt" and tokens.path.stat().st_mode & OTHERS:
        yield Check("tokens", "note", f"{tokens.path} may be read by others", f"chmod 600 {tokens.path}")
    elif names:
        yield Check("tokens", "ok", f"of {len(names)} owner(s); clients over HTTP and SSE need one")
    for folder in sorted(tokens.path.parent.glob("of=*")):
        yield from _damage(ContextStore(folder))


def _port(address: ListenAddress) -> Check:
    """Whether a server may listen where it does by default; one over stdio does not."""
    what = f"port {address.port}"
    try:
        address.check_free()
    except InputError:
        todo = "If that is not memorag itself, serve elsewhere: --port NUMBER. Over stdio no port is needed."
        return Check(what, "note", f"something listens at {address.host} already", todo)
    return Check(what, "ok", f"free at {address.host}, for --transport http and sse")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "installed"


def _gib(number: int) -> str:
    return f"{number / GIB:.1f} GiB"
