"""Parts of office documents in XML, parsed so that they fetch nothing and no entity grows."""

from __future__ import annotations

from typing import Any


def parse_xml(data: bytes, huge: bool = False) -> Any:
    """The root element of some XML; unless `huge`, what is nested deeper than 256 is refused: recursion ends."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=huge)
    return etree.fromstring(data, parser)
