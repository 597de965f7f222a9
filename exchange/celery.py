"""
The Celery app: the jobs, their schedule, and in production the floor.

Broker: RabbitMQ where AMQP_URL is set; in embedded mode our folder of jobs in
`.data/`, which is slow and good enough for an alarm clock.
"""

from __future__ import annotations

import os
from typing import Any, Self

import django
from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection, Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")
django.setup()  # the floor's modules import models

from django.conf import settings  # noqa: E402

from exchange.lib import job_folder  # noqa: E402
from exchange.lib.bus_amqp import HEARTBEAT_SECONDS  # noqa: E402
from markets import floor_worker  # noqa: E402


def _filesystem() -> dict[str, Any]:
    """Both directions share one folder; who takes a file has the message."""
    folder = settings.DATA_DIR / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder),
    }


class _Connection(Connection):
    """Looks for a broker that is away every two seconds, however long it was away."""

    def ensure_connection(self, *args: Any, **options: Any) -> Self:
        pace = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2}
        super().ensure_connection(*args, **(pace | options))
        return self


class _Amqp(AMQP):
    Connection = _Connection


app = Celery("exchange", amqp=_Amqp)
app.conf.update(
    broker_url=settings.AMQP_URL or f"{job_folder.SCHEME}://localhost",
    broker_transport_options={} if settings.AMQP_URL else _filesystem(),
    # A takeover after kill -9 must not wait for a minute of silence.
    broker_heartbeat=HEARTBEAT_SECONDS if settings.AMQP_URL else 0,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_queues=[
        Queue(f"{settings.BUS_NAMESPACE}.{name}", routing_key=name, alias=name)
        for name in ("jobs", "wallets")
    ],
    task_default_queue="jobs",
    # Nodes may take minutes to answer, and a proof takes minutes to make: mails do not
    # wait for them.
    task_routes={"wallets.*": "wallets"},
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    worker_enable_remote_control=False,  # the supervisor and the signals are enough
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,  # mails that are printed keep their lines
    timezone="UTC",
    beat_schedule_filename=str(settings.DATA_DIR / "beat-schedule"),
    beat_schedule={
        # The row is the queue, Celery is the alarm clock.
        "sweep-pending": {"task": "markets.sweep", "schedule": 2.0},
        "forget-tonces": {"task": "accounts.forget_old_tonces", "schedule": 60.0},
        "send-mails": {"task": "lib.send_mails", "schedule": 2.0},
        # Second factors.
        "send-sms": {"task": "accounts.send_sms", "schedule": 2.0},
        "forget-sms": {"task": "accounts.forget_sms", "schedule": 600.0},
        "finish-losses": {"task": "accounts.finish_factor_losses", "schedule": 60.0},
        "scan-documents": {"task": "accounts.scan_documents", "schedule": 10.0},
        "tidy-identities": {"task": "accounts.tidy_identities", "schedule": 3600.0},
        # Sessions, and data that members take away.
        "forget-sessions": {
            "task": "accounts.forget_ended_sessions",
            "schedule": 600.0,
        },
        "make-exports": {"task": "accounts.make_exports", "schedule": 5.0},
        "forget-exports": {"task": "accounts.forget_old_exports", "schedule": 600.0},
        "deliver-letters": {"task": "accounts.deliver_letters", "schedule": 1.0},
        "forget-attempts": {
            "task": "accounts.forget_old_attempts",
            "schedule": 3600.0,
        },
        # Coins.
        "scan-chains": {"task": "wallets.scan_chains", "schedule": 3.0},
        # Once a day; it looks more often whether today's is there, so that a restart at
        # midnight loses none.
        "prove-solvency": {"task": "wallets.prove_solvency", "schedule": 600.0},
        # Payouts.
        "pay-out": {"task": "wallets.pay_out", "schedule": 5.0},
        "reconcile": {"task": "wallets.reconcile", "schedule": 60.0},
        "balance-wallets": {"task": "wallets.balance_wallets", "schedule": 30.0},
        "audit-books": {"task": "exchange.audit_books", "schedule": 600.0},
        # The audit trail.
        "chain-audit": {"task": "lib.chain_audit", "schedule": 5.0},
        "audit-trail": {"task": "exchange.audit_trail", "schedule": 86_400.0},
    },
)
app.autodiscover_tasks()
if settings.AMQP_URL:
    floor_worker.install(app)
