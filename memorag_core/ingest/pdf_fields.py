"""What stands in a PDF page beside its text: values of forms, notes and stamps."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

CHOSEN = "Yes"


def texts_of_annotations(page: Any) -> list[str]:
    """Write each filled field as `[Field name: value]`, once, and each note or stamp as `[Note: words]`."""
    import pypdfium2.raw as pdfium

    out: list[str] = []
    for number in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, number)
        if not annotation:
            continue
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        if kind == pdfium.FPDF_ANNOT_WIDGET:
            line = _field(page.formenv, annotation)
            out += [line] if line and line not in out else []
        elif kind not in {pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP} and (
            words := _value(annotation, b"Contents")
        ):
            out.append(f"[Note: {words}]")
        pdfium.FPDFPage_CloseAnnot(annotation)
    return out


def _field(form: Any, annotation: Any) -> str:
    """Write a field by the name that people are shown, else its own; a box that is not ticked says so.

    What several places of a page show, or choose from, is kept above them: the form knows it, where there is one.
    """
    name = _value(annotation, b"TU") or _value(annotation, b"T")
    value = _value(annotation, b"V") or _value(annotation, b"AS")
    if form:
        name = name or _name_above(form, annotation)
        value = _value_of_form(form, annotation, value)
    value = {"Off": "no", CHOSEN: "yes"}.get(value, value)
    return f"[Field {name}: {value}]" if name and value else ""


def _name_above(form: Any, annotation: Any) -> str:
    from pypdfium2 import raw

    shown = _told(partial(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation))
    return shown or _told(partial(raw.FPDFAnnot_GetFormFieldName, form, annotation)).rpartition(".")[2]


def _value_of_form(form: Any, annotation: Any, own: str) -> str:
    """Return what is chosen or filled in; nothing for the one of several buttons that is not chosen."""
    from pypdfium2 import raw

    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind == raw.FPDF_FORMFIELD_RADIOBUTTON:
        is_chosen = raw.FPDFAnnot_IsChecked(form, annotation)
        return _told(partial(raw.FPDFAnnot_GetFormFieldExportValue, form, annotation)) if is_chosen else ""
    if kind in {raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX}:
        options = range(raw.FPDFAnnot_GetOptionCount(form, annotation))
        chosen = [number for number in options if raw.FPDFAnnot_IsOptionSelected(form, annotation, number)]
        labels = [_told(partial(raw.FPDFAnnot_GetOptionLabel, form, annotation, number)) for number in chosen]
        own = ", ".join(labels) or own
    return own or _told(partial(raw.FPDFAnnot_GetFormFieldValue, form, annotation))


def _value(annotation: Any, key: bytes) -> str:
    """Return a string of an annotation's own dictionary."""
    from pypdfium2.raw import FPDFAnnot_GetStringValue

    return _told(partial(FPDFAnnot_GetStringValue, annotation, key))


def _told(tell: Callable[..., int]) -> str:
    """Return what PDFium tells into some room; it tells the length in bytes first."""
    from pypdfium2.raw import FPDF_WCHAR

    length = tell(None, 0)
    buffer = ctypes.create_string_buffer(length)
    tell(ctypes.cast(buffer, ctypes.POINTER(FPDF_WCHAR)), length)
    return buffer.raw.decode("utf-16-le", errors="replace").rstrip("\0").strip()
