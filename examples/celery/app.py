"""A Celery application whose queues are served by machines that the autoscaler makes.

`sleep` waits in the queue `celery`, `train` in the queue `gpu`. The broker is named by CELERY_BROKER_URL.
"""

from __future__ import annotations

import os
import time

from celery import Celery

app = Celery("app", broker=os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0"))
app.conf.update(
    task_default_queue="celery",
    task_routes={"app.train": {"queue": "gpu"}},
    task_acks_late=True,  # a task of a machine that is lost is run again
    worker_prefetch_multiplier=1,  # a worker keeps no tasks that another machine could run
    broker_connection_retry_on_startup=True,
)


@app.task(name="app.sleep")
def sleep(seconds: float) -> float:
    """Work for so many seconds."""
    time.sleep(seconds)
    return seconds


@app.task(name="app.train")
def train(seconds: float) -> float:
    """Work that needs a GPU."""
    time.sleep(seconds)
    return seconds
