"""Routes of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts import views

urlpatterns = [
    path("signin", views.enter, name="sign_in"),
    path("signout", views.leave, name="sign_out"),
]
