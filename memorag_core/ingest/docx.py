"""Word documents, by way of HTML (mammoth): headings, lists, tables and footnotes in reading order.

They have no pages: where a page ends is decided by whoever lays them out.
"""

from __future__ import annotations

from memorag_core.ingest.archive import open_archive
from memorag_core.ingest.docx_parts import prepare_docx
from memorag_core.ingest.extract import Counted, Extract, extract_pages
from memorag_core.ingest.html import reflow


def read(data: bytes, what: str, limit: int) -> Extract:
    """The text of a DOCX file, without its pictures."""
    import mammoth

    counted = Counted()
    with open_archive(data, what) as archive:
        whole = prepare_docx(archive, counted)
    without = mammoth.images.img_element(lambda image: {})
    html = mammoth.convert_to_html(whole, convert_image=without, external_file_access=False).value
    page = reflow(html, what, whole=True)
    text, _ = extract_pages([page.text], what, limit)
    return Extract(text, notice=counted.notice())
