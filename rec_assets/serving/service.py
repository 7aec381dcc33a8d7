"""The BentoML service: one worker of ours per process, behind lean routes."""

from pathlib import Path
from typing import Any

import bentoml

from rec_assets.serving import routes
from rec_assets.serving.process import die_with_parent, on_terminate
from rec_assets.serving.worker import Worker
from rec_assets.settings import Settings

app = routes.app(Settings().cors_origins)


# Tracing is the largest cost of a request even without an exporter; excluded for all addresses. The timeout is short
# because BentoML keeps a timer alive for that long after every request. Its metrics have the address of any request as
# a label, those that do not exist too: /metrics is ours.
@bentoml.service(
    name="recommender",
    workers=Settings().workers,
    traffic={"timeout": 5},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
@bentoml.asgi_app(app, path="/")
class Recommender:
    """Ranks the catalogue for one user with the promoted checkpoint, which is swapped while it runs."""

    def __init__(self) -> None:
        die_with_parent()
        self.worker = app.state.worker = Worker(Settings(), packed())
        on_terminate(self.worker.begin_stop)
        self.worker.start()

    def __is_alive__(self) -> bool:
        """What /livez answers."""
        return not self.worker.failed

    def __is_ready__(self) -> bool:
        """What /readyz answers."""
        return self.worker.ready

    @bentoml.on_shutdown
    def stop(self) -> None:
        """Store what is still in memory."""
        self.worker.stop()


MODEL = "rec-checkpoint"  # the name of the BentoML model that carries a checkpoint


def packed() -> Path | None:
    """Where the checkpoint is that the running bento carries; None when the service runs from its source."""
    service: Any = Recommender  # what BentoML made of the class
    bento = service.bento
    models = bento.info.all_models if bento is not None else []
    for model in models:
        if model.tag.name == MODEL:
            return Path(model.to_model().resolve().path)
    return None
