"""Serving on a Ray cluster, of `memorag serve --cluster`."""

from __future__ import annotations

from memorag_core.config import Settings
from memorag_core.errors import require
from memorag_mcp.commands import show
from memorag_mcp.http.address import ListenAddress


def deploy_on(cluster: str, settings: Settings, address: ListenAddress) -> None:
    """Run the server on a cluster, and go on without this command.

    Raises:
        MissingExtra: Ray is not installed.
        InputError: no cluster is there, or the settings name no store that machines share.
    """
    require("ray", "cluster")
    from memorag_mcp.cluster.app import deploy

    options = deploy(cluster, settings, address)
    show.notice(
        f"Clients connect to http://{options.host}:{options.port}/mcp on every machine of the cluster. `serve status` "
        "shows how it is, `serve shutdown` ends it; this command again replaces it step by step."
    )
