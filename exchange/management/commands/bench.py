"""Measure what the exchange can do: `manage.py bench NAME --json`."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from exchange import benches


class Command(BaseCommand):
    """Find the benches and run one; without a name, list them."""

    help = "Run a bench by its name; without a name, list them."

    def add_arguments(self, parser: CommandParser) -> None:
        named = parser.add_subparsers(dest="name", metavar="NAME")
        for name, bench in _benches().items():
            about = (bench.__doc__ or "").strip().partition("\n")[0]
            own = named.add_parser(name, help=about, description=bench.__doc__)
            own.add_argument(
                "--json",
                action="store_true",
                help="end with one line of JSON: at least bench, rate, unit and ok",
            )
            if hasattr(bench, "add_arguments"):
                bench.add_arguments(own)

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit with 1 if the bench is not ok."""
        benches_by_name = _benches()
        if options["name"] is None:
            for name, bench in benches_by_name.items():
                about = (bench.__doc__ or "").strip().partition("\n")[0]
                self.stdout.write(f"{name:<12}{about}")
            return
        result = benches_by_name[options["name"]].run(options)
        wanted = result.get("rate_wanted")
        self.stdout.write(
            f"{result['bench']}: {result['rate']:,} {result['unit']}"
            f"{f', {wanted:,} wanted' if wanted else ''}:"
            f" {'ok' if result['ok'] else 'NOT OK'}"
        )
        if options["json"]:
            self.stdout.write(json.dumps(result))
        if not result["ok"]:
            sys.exit(1)


def _benches() -> dict[str, ModuleType]:
    """Return the modules with a `run`; what only helps them has none."""
    found = {
        module.name: importlib.import_module(f"{benches.__name__}.{module.name}")
        for module in pkgutil.iter_modules(benches.__path__)
    }
    return {name: module for name, module in found.items() if hasattr(module, "run")}
