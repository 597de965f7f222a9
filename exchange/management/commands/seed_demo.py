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
            self._told = -1
            demo.stock(now=now, progress=self._say)
        width = max(len(person.email) for person in people)
        for person in people:
            self.stdout.write(f"  {person.email:<{width}}  {person.password}")

    def _say(self, percent: int) -> None:
        """Tell every tenth: it is the longest step of a first start."""
        if percent // 10 != self._told:
            self._told = percent // 10
            self.stdout.write(f"making a few hours of history: {percent} %")
            self.stdout.flush()
