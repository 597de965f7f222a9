"""
What tables, columns and choices are called, in every language.

Django makes an English name of each from the code ("waiting since", "Wrong password").
Here such a name becomes a message with the context "desk": models need not say it once
more, migrations know nothing of it, and the catalogs collect them from `known`.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import Field, Model
from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

CONTEXT = "desk"
_OURS = ("accounts", "wallets", "markets", "lib")


_known: set[str] = set()


def install() -> None:
    """Let every such name be translated where it is shown; once all apps are there."""
    for model in _models():
        meta: Any = model._meta
        meta.verbose_name_plural = _translated(str(meta.verbose_name_plural))
        meta.verbose_name = _translated(str(meta.verbose_name))
        for field in _fields(model):
            field.verbose_name = _translated(field.verbose_name)
            if field.choices:
                field.choices = [(key, _translated(of)) for key, of in field.choices]


def known() -> list[str]:
    """Return the English names, for the catalogs."""
    return sorted(_known)


def _fields(model: type[Model]) -> list[Any]:
    return [each for each in model._meta.get_fields() if isinstance(each, Field)]


def _models() -> list[type[Model]]:
    """Return what the admin can list: it takes no keys of several columns."""
    found = [each for app in _OURS for each in apps.get_app_config(app).get_models()]
    return [model for model in found if not model._meta.is_composite_pk]


def _translated(name: Any) -> Any:
    if isinstance(name, Promise) or not name:
        return name  # a model has said it itself
    _known.add(name)
    return pgettext_lazy(CONTEXT, name)
