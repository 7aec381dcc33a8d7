"""The routes over a real worker on a port of their own, in this process: what a page needs, without a new one."""

import threading
import time

import uvicorn

from rec_assets.serving import routes
from rec_assets.serving.worker import Worker
from rec_assets.settings import Settings


class InProcess:
    """Answers from its creation until `stop`."""

    def __init__(self, settings: Settings) -> None:
        app = routes.app([])
        self.worker = app.state.worker = Worker(settings)
        self.worker.start()
        self.server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        deadline = time.monotonic() + 280  # of which nearly all compiles, where nothing is compiled yet
        while not (self.worker.ready and self.server.started):
            assert not self.worker.failed
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.worker.begin_stop()  # ends the streams, which the server would wait for
        self.server.should_exit = True
        self.thread.join(timeout=10)
        self.worker.stop()
