"""Makes the demo's members, and with DEMO=1 their money and a few hours of history."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from exchange import demo


class Command(BaseCommand):
    help = "Make the demo members; with DEMO=1 also money and history. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        people = demo.invite(now=now)
        if settings.DEMO:
            self.stdout.write("Making a few hours of history …")
            self.stdout.flush()
            demo.stock(now=now)
        width = max(len(person.email) for person in people)
        for person in people:
            self.stdout.write(f"  {person.email:<{width}}  {person.password}")
