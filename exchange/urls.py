"""Every page, by app. REST has a door of its own: see exchange.api_door."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from exchange import views

handler500 = "exchange.views.broken"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("markets.urls")),
    path("", include("wallets.urls")),
    path("", include("accounts.urls")),
    # The admin's own sign-in would go round our throttle.
    path("admin/login/", views.admin_door, name="admin_door"),
    # The same of its own change of passwords: no proof, no mail, no audit trail.
    path("admin/password_change/", views.admin_password, name="admin_password"),
    path("admin/", admin.site.urls),
    path("healthz", views.health, name="health"),
]
