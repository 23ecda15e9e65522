"""The application that Ray Serve runs: fronts, replicas that answer, replicas that memorize.

A Serve configuration names `memorag_mcp.cluster.app:build` and gives the fields of `ClusterOptions` as its `args`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray import serve

from memorag_core.config import Settings
from memorag_core.errors import InputError
from memorag_core.runtime import Runtime
from memorag_mcp.cluster.engine import ClusterEngine, Replicas
from memorag_mcp.cluster.options import ClusterOptions, replicas_for
from memorag_mcp.cluster.worker import Worker
from memorag_mcp.http.address import ListenAddress
from memorag_mcp.http.app import application
from memorag_mcp.http.shared_tokens import SharedTokens
from memorag_mcp.http.tokens import settings_of, tokens_file
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.server import build_server

if TYPE_CHECKING:
    from ray.serve import Application
    from ray.serve.handle import DeploymentHandle
    from starlette.applications import Starlette

NAME = "memorag"
TARGET_OF_A_REPLICA = 2
QUEUED = 256
"""Questions that may wait at a front; more are told that the replicas are busy."""


class Front:
    """The HTTP application over an engine without models. Any front can take any request."""

    def __init__(
        self, options: ClusterOptions, questions: DeploymentHandle[Any], memories: DeploymentHandle[Any]
    ) -> None:
        settings = Settings.of(**options.settings)
        shared = Runtime(settings, lambda _: None)
        tokens = SharedTokens(tokens_file(settings.store, None), str(settings.shared))
        tokens.follow()
        address = ListenAddress(tokens.path, options.host, options.port, options.allowed_hosts, one_of_several=True)

        def build_for(owner: str) -> ContextServer:
            writers = Replicas(memories, owner)
            engine = ClusterEngine(settings_of(settings, owner), shared, Replicas(questions, owner), writers)
            server = build_server(engine, owner=owner)
            server.jobs.execute = writers.work
            return server

        self._app = application(build_for, shared, address, "http")

    def __serve_build_asgi_app__(self) -> Starlette:
        return self._app


def build(args: dict[str, Any]) -> Application:
    """Build the application from the fields of `ClusterOptions`, as a configuration of Serve has them.

    Raises:
        InputError: the settings are none, or name no store that machines share.
    """
    options = ClusterOptions.model_validate(args)
    if not Settings.of(**options.settings).shared:
        raise InputError("A cluster needs a store that its machines share. Name a bucket: --shared s3://BUCKET/FOLDER")
    front = serve.deployment(
        name="fronts",
        num_replicas=options.fronts,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=QUEUED,
    )(serve.ingress()(Front))
    questions = _workers(options, "questions", options.replicas, options.most_replicas)
    app: Application = front.bind(
        options, questions, _workers(options, "memories", options.writers, options.most_writers)
    )
    return app


def _workers(options: ClusterOptions, name: str, fewest: int, most: int) -> Application:
    """Build a deployment of replicas with models, as many as the requests that wait for them need."""
    deployment = serve.deployment(
        name=name,
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        autoscaling_config={
            "min_replicas": fewest,
            "max_replicas": max(fewest, most),
            "target_ongoing_requests": TARGET_OF_A_REPLICA,
        },
        max_ongoing_requests=options.ongoing,
        max_queued_requests=QUEUED,
    )(Worker)
    app: Application = deployment.bind(options.settings)
    return app


def deploy(address: str, settings: Settings, listen: ListenAddress) -> ClusterOptions:
    """Run the application on a Ray cluster, with as many replicas as it has room for; return what was chosen.

    What runs there already is replaced step by step.

    Raises:
        InputError: the settings name no store that machines share; or no cluster is at that address.
    """
    import ray
    from ray.exceptions import RayError

    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    except (ConnectionError, RayError) as error:
        raise InputError(
            f"No Ray cluster can be used at {address} ({error}). Start one with: ray start --head"
        ) from error
    options = ClusterOptions(
        settings=settings.model_dump(mode="json", exclude_unset=True),
        **replicas_for(ray.cluster_resources()),
        host=listen.host,
        port=listen.port,
        allowed_hosts=list(listen.allowed_hosts),
    )
    application = build(options.model_dump(mode="json"))
    serve.start(http_options={"host": options.host, "port": options.port, "location": "EveryNode"})
    serve.run(application, name=NAME)
    return options
