"""Routes of the wallets' pages."""

from __future__ import annotations

from django.urls import path

from wallets.views import solvency

urlpatterns = [
    # Solvency: for everybody.
    path("solvency", solvency.show, name="solvency"),
    path(
        "solvency/<str:currency>-root.json",
        solvency.newest_legacy_root,
        name="newest_legacy_root",
    ),
    path(
        "solvency/<int:number>/manifest.json",
        solvency.manifest,
        name="solvency_manifest",
    ),
    path(
        "solvency/<int:number>/<str:currency>-root.json",
        solvency.legacy_root,
        name="legacy_root",
    ),
    path(
        "solvency/<int:number>/<str:currency>-leaves.bin",
        solvency.leaves,
        name="solvency_leaves",
    ),
    path(
        "solvency/<int:number>/<str:currency>-assets.json",
        solvency.assets,
        name="solvency_assets",
    ),
    # For a member: their own.
    path("account/solvency", solvency.show_mine, name="my_proof"),
    path(
        "account/solvency/<str:currency>-partial-tree.json",
        solvency.my_newest_partial_tree,
        name="my_newest_partial_tree",
    ),
    path(
        "account/solvency/<int:number>/<str:currency>-partial-tree.json",
        solvency.my_partial_tree,
        name="my_partial_tree",
    ),
    path(
        "account/solvency/<int:number>/<str:currency>-proof.json",
        solvency.my_proof_file,
        name="my_proof_file",
    ),
]
