"""Makes contexts: indexes documents and publishes them at once, then makes their memory, behind questions.

A context is published twice: when it can be searched, and when its memory is made. Both times the folder is sealed, and
put in place by a rename. What is interrupted in between is found in the store: whoever wants the context next goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from memorag_core.concurrency.device_memory import with_memory
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.context.corpus import Context
from memorag_core.context.edits import Contents
from memorag_core.context.encode import index, key_of, remember
from memorag_core.context.files import describe, info_of, load, verify_contents
from memorag_core.context.manifest import Manifest
from memorag_core.context.store import ContextStore
from memorag_core.context.work import WorkFolder
from memorag_core.errors import UnknownContext
from memorag_core.ingest import check_size
from memorag_core.runtime import Runtime
from memorag_core.text.ids import slug
from memorag_core.types import ContextInfo, OnProgress, OnReady, ignore_ready


class Memorizer:
    """Makes, changes and loads the contexts of one store with the models of one runtime."""

    def __init__(self, store: ContextStore, shared: Runtime, max_characters: int) -> None:
        self.store = store
        self.shared = shared
        self.max_characters = max_characters

    def memorize(self, contents: Contents, name: str | None, on_progress: OnProgress, on_ready: OnReady) -> ContextInfo:
        """As `MemoRAG.memorize`. Where a context is there already that has no sources, it gets these."""
        check_size(contents.documents, self.max_characters)
        progress = self._begin_progress(on_progress)
        with self.shared.device_queue.slot(patient=True, on_wait=progress.tell_position):
            key = key_of(contents.documents, self.shared.components.recipe)
        with self.store.writing(key) as work:  # another process may hold this for minutes; questions go on
            held = self._find_stored(key, name)
            if held is None:
                manifest = self._index(contents, work, progress)
                held = self._info(self.store.publish(work, manifest, name))
        info = self._finish(replace(held, left_out=contents.left_out), progress, on_ready)
        if name and held.id != slug(name) and self.store.check_name(name, key) is None:
            own_id = self.store.copy(held.id, name, key)
            self._describe(own_id, contents, key)
        elif contents.sources and not info.sources:
            self._describe(own_id := held.id, contents, key)
        else:
            return info
        return _as_found(self._info(own_id), info)

    def change(
        self,
        context_id: str,
        change: Callable[[Contents], Contents],
        on_progress: OnProgress,
        on_ready: OnReady,
    ) -> ContextInfo:
        """Give a context other contents, as `change` says, which may raise before a model is loaded."""
        progress = self._begin_progress(on_progress)
        return self._finish(self._change(context_id, change, progress), progress, on_ready)

    def complete(self, context_id: str, on_progress: OnProgress) -> ContextInfo:
        """As `MemoRAG.complete`."""
        info = self._info(context_id)
        return info if info.ready == "memory" else self._finish(info, self._begin_progress(on_progress))

    def context(self, context_id: str) -> Context:
        """As `MemoRAG.context`."""
        with self.shared.device_queue.slot():
            manifest = self.store.manifest(context_id)
            context = self.shared.context_cache.get((self.store.root, context_id))
            if context is None or context.manifest != manifest:
                context = self.store.reading(context_id, self._load)
                self.shared.context_cache.put((self.store.root, context_id), context)
            return context

    def _indexed(self, context_id: str, manifest: Manifest) -> Context:
        """A context as it is kept warm, else without its memory, for which models would have to be loaded."""
        warm = self.shared.context_cache.get((self.store.root, context_id))
        if warm is not None and warm.manifest == manifest:
            return warm
        return self.store.reading(context_id, partial(self._load, whole=False))

    def _change(self, context_id: str, change: Callable[[Contents], Contents], progress: ProgressScope) -> ContextInfo:
        """Index a context's other contents and publish them in its place; where no text is another, only note them."""
        with self.store.changing(context_id):
            held, stored = self.store.reading(context_id, verify_contents)
            after = change(held)
            check_size(after.documents, self.max_characters)
            if cached := after.reads_as(held):
                now = describe(stored, after)
                info = info_of(context_id, stored if now == stored else self.store.describe(context_id, now))
            else:
                with self.shared.device_queue.slot(patient=True, on_wait=progress.tell_position):
                    before = self._indexed(context_id, stored)
                if not before.manifest.reads_as(stored):  # it was forgotten and memorized anew
                    after = change(Contents(before.documents, before.manifest.sources))
                self._replace(context_id, before, after, progress)
                info = self._info(context_id)
        return replace(info, cached=cached, changes=after.changes, left_out=after.left_out)

    def _replace(self, context_id: str, before: Context, after: Contents, progress: ProgressScope) -> None:
        with self.store.writing(key_of(after.documents, before.manifest.recipe)) as work:
            staying = after.staying(Contents(before.documents))
            self.store.reading(context_id, partial(work.take_texts, before=before.manifest, ids=staying))
            manifest = self._index(after, work, progress, before)
            if not self.store.replace(context_id, work, manifest, before.manifest):
                raise UnknownContext(f"The context '{context_id}' was forgotten while it was being changed.")

    def _describe(self, context_id: str, contents: Contents, key: str) -> None:
        """Note where the texts of a stored context are from, which are these."""
        manifest = self.store.manifest(context_id)
        if manifest.key == key:
            self.store.describe(context_id, describe(manifest, contents))

    def _index(
        self, contents: Contents, work: WorkFolder, progress: ProgressScope, before: Context | None = None
    ) -> Manifest:
        """Chunk and index; between the steps, questions that wait are answered."""
        with self.shared.device_queue.slot(patient=True, on_wait=progress.tell_position):
            components = self.shared.components
            manifest = _go_on(
                work, progress, lambda noted: index(contents.documents, components, work.draft, noted, before)
            )
            return manifest.model_copy(update={"sources": contents.sources})

    def _finish(self, held: ContextInfo, progress: ProgressScope, on_ready: OnReady = ignore_ready) -> ContextInfo:
        """Tell that a context can be searched; make its memory, whatever documents others give it meanwhile."""
        on_ready(held)
        info = held
        while info.ready != "memory":
            manifest = self.store.manifest(held.id)
            with self.store.writing(manifest.key) as work:
                if self.store.manifest(held.id) == manifest:
                    self._remember(held.id, manifest, work, progress)
            info = self._info(held.id)
        return _as_found(info, held)

    def _remember(self, context_id: str, manifest: Manifest, work: WorkFolder, progress: ProgressScope) -> None:
        """Make a context's memory, behind all questions; one context at a time."""
        with (
            self.shared.encode_queue.slot(patient=True, on_wait=progress.tell_position),
            self.shared.device_queue.slot(background=True, on_wait=progress.tell_position),
        ):
            context = self.context(context_id)
            if context.manifest != manifest:
                return
            self.store.reading(context_id, work.begin_with)
            components, before = self.shared.components, work.load_before(self._load)
            whole = _go_on(work, progress, lambda noted: remember(context, components, work.draft, noted, before))
        if self.store.replace(context_id, work, whole, manifest):
            work.clear()

    def _begin_progress(self, on_progress: OnProgress) -> ProgressScope:
        """Tell that the models are being loaded; after every later step, those who wait for them have their turn."""
        progress = ProgressScope(on_progress, self.shared.device_queue.yield_slot)
        progress.stage("loading models", 0.0, 0.0).step(0, 1)
        return progress

    def _find_stored(self, key: str, name: str | None) -> ContextInfo | None:
        """The stored context of that key, if there is one: under the name wanted, else one whose memory is made."""
        holder = self.store.check_name(name, key) if name else None
        try:
            found = [self._info(context_id) for context_id in ([holder] if holder else self.store.find(key))]
        except UnknownContext:
            return None  # forgotten meanwhile: encode it again
        found.sort(key=lambda info: info.ready, reverse=True)
        return replace(found[0], cached=found[0].ready == "memory") if found else None

    def _load(self, folder: Path, manifest: Manifest, whole: bool = True) -> Context:
        components = self.shared.components
        if whole and manifest.ready == "memory":
            _ = components.memory, components.attention  # whose own start is not what a context takes to load
        started = time.monotonic()
        context = load(folder, manifest, components, whole)
        seconds = time.monotonic() - started
        self.shared.say(f"loaded {context.id} in {seconds:.3f} s; encoding it took {manifest.encode_seconds:.1f} s")
        return context

    def _info(self, context_id: str) -> ContextInfo:
        return info_of(context_id, self.store.manifest(context_id))


def _go_on(work: WorkFolder, progress: ProgressScope, make: Callable[[ProgressScope], Manifest]) -> Manifest:
    """Make what is kept in `work`; where the device's memory runs out, go on once at the last finished batch."""
    return with_memory(lambda: make(replace(progress, journal=work.journal())))


def _as_found(info: ContextInfo, held: ContextInfo) -> ContextInfo:
    """Return what is known of a context now, with what was found when it was begun with."""
    return replace(info, cached=held.cached, changes=held.changes, left_out=held.left_out)
