"""Contexts of what is at places, files, folders and URLs: read once, then kept in step with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from memorag_core.context.edits import Contents, follow, gather
from memorag_core.context.files import is_usable
from memorag_core.engine.memorag import MemoRAG
from memorag_core.errors import InputError
from memorag_core.ingest import NOTHING_KNOWN, Known, NothingThere, Reading, TooLarge, hear_pages
from memorag_core.text.ids import slug
from memorag_core.types import ContextInfo, OnProgress, OnReady, Source, ignore_progress, ignore_ready

ReadSource = Callable[[Source, Known], Reading]
"""Reads what is at a source and is not known. Raises `InputError` where it may not or cannot be read."""


@dataclass(frozen=True)
class Places:
    """Makes contexts of what is at places, and keeps them in step.

    >>> places = Places(engine, lambda source, known: read_path(FolderWalk(Path(source.path)), 10**6, (), known))
    >>> context = places.memorize([Source("/home/ann/notes")])                             # doctest: +SKIP
    >>> places.sync(context.id).changes                                                    # doctest: +SKIP
    {'added': (), 'replaced': (), 'removed': (), 'renamed': (), 'unchanged': ('ferry', 'pilot')}
    """

    engine: MemoRAG
    read: ReadSource

    def memorize(
        self,
        sources: Sequence[Source],
        name: str | None = None,
        on_progress: OnProgress = ignore_progress,
        on_ready: OnReady = ignore_ready,
    ) -> ContextInfo:
        """Read sources into a stored context; one that was read from them before is brought in step.

        Raises what `MemoRAG.memorize` raises.
        """
        if (held := self._find(sources, name)) is not None:
            return self.add(held, sources, on_progress, on_ready)
        with hear_pages(on_progress):
            read = gather([self.read(source, NOTHING_KNOWN) for source in sources])
        return self.engine.memorizer.memorize(read, name, on_progress, on_ready)

    def add(
        self,
        context_id: str,
        sources: Sequence[Source],
        on_progress: OnProgress = ignore_progress,
        on_ready: OnReady = ignore_ready,
    ) -> ContextInfo:
        """Read sources into a context, which is in step with them from now on. Raises what `MemoRAG.add` raises."""
        paths = {source.path for source in sources}

        def choose(held: Contents) -> list[Source]:
            others = (source for source in held.sources if source.path in paths)
            return list(dict.fromkeys((*others, *sources)))

        return self._follow(context_id, choose, on_progress, on_ready)

    def sync(
        self, context_id: str, on_progress: OnProgress = ignore_progress, on_ready: OnReady = ignore_ready
    ) -> ContextInfo:
        """Look at what a context was read from: read what is new or changed, remove what is gone.

        Raises:
            InputError: it was read from nothing that can be looked at; none of it can be read; what `add` raises.
        """

        def choose(held: Contents) -> Sequence[Source]:
            if not held.sources:
                raise InputError(
                    f"The context '{context_id}' does not know what files it was read from: it was made of texts, or "
                    "by an earlier version. Add its file or folder to it once more; from then on it can be synced."
                )
            return held.sources

        return self._follow(context_id, choose, on_progress, on_ready)

    def _follow(
        self,
        context_id: str,
        choose: Callable[[Contents], Sequence[Source]],
        on_progress: OnProgress,
        on_ready: OnReady,
    ) -> ContextInfo:
        """Give a context what is now at the sources chosen."""

        def edit(held: Contents) -> Contents:
            return follow(held, self._read_again(held, choose(held)))

        with hear_pages(on_progress):
            return self.engine.memorizer.change(context_id, edit, on_progress, on_ready)

    def _find(self, sources: Sequence[Source], name: str | None) -> str | None:
        """Return the id of the context that was read from these sources: of that name, or from no others."""
        wanted = set(sources)
        for info in self.engine.contexts() if wanted else ():
            held = set(info.sources)
            is_meant = info.id == slug(name) and wanted <= held if name else wanted == held
            if is_meant and self._is_usable(info.id):
                return info.id
        return None

    def _is_usable(self, context_id: str) -> bool:
        shared = self.engine.shared
        with shared.device_queue.slot(patient=True):
            return is_usable(self.engine.store.manifest(context_id), shared.components)

    def _read_again(self, held: Contents, sources: Sequence[Source]) -> list[Reading]:
        """Read sources, some of which were read before. Of what cannot be read now, what it gave is kept, and told."""
        known = Known(held.documents)
        readings, failed = list[Reading](), list[InputError]()
        for source in sources:
            try:
                readings.append(self.read(source, known))
            except TooLarge:
                raise
            except InputError as error:
                if source not in held.sources:
                    raise
                failed.append(error)
                readings.append(_keep(held, known, source, error))
        if len(failed) == len(sources):
            raise failed[0]
        return readings


def _keep(held: Contents, known: Known, source: Source, error: InputError) -> Reading:
    """Return what a source gave before; nothing of a file that is no longer in its folder."""
    is_gone = isinstance(error, NothingThere) and Path(source.path).parent.is_dir()
    kept = [
        known.find_kept(one.source)
        for one in held.documents
        if one.origin and one.origin.root == source.path and not (is_gone and one.source == source.path)
    ]
    return Reading([one for one in kept if one], {source.path: str(error)}, source)
