"""What stands in a PDF page beside its text: values of forms, notes and stamps."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

CHOSEN = "Yes"


def texts_of_annotations(page: Any) -> list[str]:
    """Write each filled field as `[Field name: value]`, and each note or stamp as `[Note: words]`."""
    import pypdfium2.raw as pdfium

    out: list[str] = []
    for number in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, number)
        if not annotation:
            continue
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        if kind == pdfium.FPDF_ANNOT_WIDGET:
            out += _field(annotation)
        elif kind not in {pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP} and (
            words := _value(annotation, b"Contents")
        ):
            out.append(f"[Note: {words}]")
        pdfium.FPDFPage_CloseAnnot(annotation)
    return out


def _field(annotation: Any) -> Iterator[str]:
    """A field by the name that people are shown, else its own; a box that is not ticked says so."""
    name = _value(annotation, b"TU") or _value(annotation, b"T")
    state = _value(annotation, b"AS")
    value = _value(annotation, b"V") or state
    if name and value:
        yield f"[Field {name}: {'no' if value == 'Off' else 'yes' if value == CHOSEN else value}]"


def _value(annotation: Any, key: bytes) -> str:
    """A string of an annotation's dictionary; PDFium tells its length in bytes first."""
    from pypdfium2.raw import FPDF_WCHAR, FPDFAnnot_GetStringValue

    length = FPDFAnnot_GetStringValue(annotation, key, None, 0)
    buffer = ctypes.create_string_buffer(length)
    FPDFAnnot_GetStringValue(annotation, key, ctypes.cast(buffer, ctypes.POINTER(FPDF_WCHAR)), length)
    return buffer.raw.decode("utf-16-le", errors="replace").rstrip("\0").strip()
