"""What all forms share: where the cursor stands when one is shown again."""

from __future__ import annotations

from typing import Any

from django.forms import BoundField
from django.forms.renderers import DjangoTemplates


class Field(BoundField):
    """A field that has the cursor when it is the first with something wrong."""

    def build_widget_attrs(self, attrs: Any, widget: Any = None) -> dict[str, Any]:
        built: dict[str, Any] = super().build_widget_attrs(attrs, widget)
        wrong = [name for name in self.form.fields if name in self.form.errors]
        if wrong:
            built["autofocus"] = self.name == wrong[0]
        return built


class Renderer(DjangoTemplates):
    """Django's own, for our fields."""

    bound_field_class = Field
