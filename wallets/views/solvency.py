"""
The proof of solvency: what everybody is shown, and each member's own part of it.

What is public is the same file for everybody, whoever asks. What a member gets is put
together from who is signed in; nothing in an address says whose it is.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, cast

from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.views.doors import member_page, public, who
from exchange.lib.money import plain
from wallets.ledger import House
from wallets.models.solvency import Proof, Root
from wallets.solvency import lookup
from wallets.solvency.lookup import MemberProof, UnknownProof

_ROWS = 20

# What the house's accounts mean to who compares what we owe with what we hold.
MEANINGS = {
    House.HOT: _("hot wallet; minus what our books say is there"),
    House.WARM: _("warm wallet; minus what our books say is there"),
    House.COLD: _("cold storage; minus what our books say is there"),
    House.BANK: _("bank; minus what our books say is there"),
    House.FEES: _("fees earned: ours"),
    House.NETWORK_FEES: _("fees paid to miners"),
    House.LOSSES: _("reversed deposits that we could not take back"),
    House.IN_TRANSIT: _("withdrawals signed, not yet confirmed"),
    House.SUSPENSE: _("deposits whose owner we do not know yet: not ours"),
    House.ADJUSTMENTS: _("corrections, approved by two operators"),
    House.GRANTS: _("demo money given away; minus its amount"),
}


# --- For everybody -------------------------------------------------------------------


@require_safe
@public
def show(request: HttpRequest) -> HttpResponse:
    """Show what we owe and hold, by currency, and the chain of manifests."""
    history = Paginator(lookup.proofs(), _ROWS).get_page(request.GET.get("page"))
    proof = _chosen(request)
    rows = [_row(root) for root in lookup.roots(proof)] if proof else []
    context = {
        "proof": proof,
        "public_key": proof and json.loads(proof.envelope)["public_key"],
        "rows": rows,
        "house": _house(proof) if proof else [],
        "is_uncovered": any(row["is_covered"] is False for row in rows),
        "is_broken": proof and any(_told(proof)["audit"].values()),
        "history": history,
    }
    return render(request, "wallets/solvency.html", context)


@require_safe
@public
def manifest(_request: HttpRequest, number: int) -> HttpResponse:
    """Send a manifest, signed."""
    return _file(_proof(number).envelope, f"manifest-{number}.json")


@require_safe
@public
def legacy_root(_request: HttpRequest, number: int, currency: str) -> HttpResponse:
    """Send the root file of the older format."""
    return _file(_root(number, currency).legacy_file, f"{currency}-root-{number}.json")


@require_safe
@public
def newest_legacy_root(_request: HttpRequest, currency: str) -> HttpResponse:
    """Send the newest root file: verifiers find it by a tag of the first page."""
    return _file(_newest_root(currency).legacy_file, f"{currency}-root.json")


@require_safe
@public
def leaves(_request: HttpRequest, number: int, currency: str) -> HttpResponse:
    """Send the list of all leaves: for each 32 bytes of hash, and 8 of amount."""
    path = lookup.leaves_of(_root(number, currency))
    name = f"{currency}-leaves-{number}.bin"
    answer = FileResponse(path.open("rb"), as_attachment=True, filename=name)
    return cast(HttpResponse, answer)  # a stream is none, and is sent like one


@require_safe
@public
def assets(_request: HttpRequest, number: int, currency: str) -> HttpResponse:
    """Send what was said that we hold, address by address."""
    statement = _root(number, currency).assets
    if statement is None:
        raise Http404
    return _file(statement.text, f"{currency}-assets-{number}.json")


# --- For a member --------------------------------------------------------------------


@require_safe
@member_page
def show_mine(request: HttpRequest) -> HttpResponse:
    """Show a member's own leaves, and let their browser check them."""
    proof = _chosen(request)
    member = who(request)
    mine = lookup.all_of(member_id=member.pk, of=proof) if proof else []
    context = {
        "proof": proof,
        "salt": proof and proof.salt,
        "mine": mine,
        "history": list(lookup.proofs()[:_ROWS]),
        "files": proof and {"manifest": proof.envelope, "proofs": _shown(mine)},
    }
    return render(request, "wallets/my_proof.html", context)


@require_safe
@member_page
def my_proof_file(request: HttpRequest, number: int, currency: str) -> HttpResponse:
    """Send the member's own proof."""
    found = _mine(request, _root(number, currency))
    return _file(found.proof, f"{currency}-proof-{number}.json")


@require_safe
@member_page
def my_partial_tree(request: HttpRequest, number: int, currency: str) -> HttpResponse:
    """Send the member's own partial tree, of the older format."""
    found = _mine(request, _root(number, currency))
    return _file(found.partial_tree, f"{currency}-partial-tree-{number}.json")


@require_safe
@member_page
def my_newest_partial_tree(request: HttpRequest, currency: str) -> HttpResponse:
    """Send the newest one, at an address that stays."""
    found = _mine(request, _newest_root(currency))
    return _file(found.partial_tree, f"{currency}-partial-tree.json")


# --- Parts ---------------------------------------------------------------------------


def _chosen(request: HttpRequest) -> Proof | None:
    number = request.GET.get("proof", "")
    if not number:
        return lookup.newest()
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise Http404
    return _proof(int(number))


def _proof(number: int) -> Proof:
    try:
        return lookup.proof(number)
    except UnknownProof as error:
        raise Http404 from error


def _root(number: int, currency: str) -> Root:
    try:
        return lookup.root(number, currency)
    except UnknownProof as error:
        raise Http404 from error


def _newest_root(currency: str) -> Root:
    try:
        return lookup.newest_root(currency)
    except UnknownProof as error:
        raise Http404 from error


def _mine(request: HttpRequest, root: Root) -> MemberProof:
    try:
        return lookup.proof_of(member_id=who(request).pk, root=root)
    except UnknownProof as error:
        raise Http404 from error


def _row(root: Root) -> dict[str, Any]:
    held = root.assets.total if root.assets else None
    return {
        "root": root,
        "owed": plain(root.liabilities),
        "held": None if held is None else plain(held),
        "equity": None if held is None else _signed(held - root.liabilities),
        "is_covered": root.is_covered,
    }


def _signed(amount: Decimal) -> str:
    return f"−{plain(-amount)}" if amount < 0 else plain(amount)


def _told(proof: Proof) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.loads(proof.envelope)["manifest"])
    return told


def _house(proof: Proof) -> list[dict[str, Any]]:
    return [
        {
            "asset": each["asset"],
            "meaning": MEANINGS[House(purpose)],
            "amount": amount.replace("-", "−"),
        }
        for each in _told(proof)["assets"]
        for purpose, amount in each["house"].items()
        if Decimal(amount)
    ]


def _shown(mine: list[MemberProof]) -> list[dict[str, str]]:
    return [
        {
            "currency": each.root.currency_id,
            "proof": each.proof,
            "partial_tree": each.partial_tree,
            "root": each.root.legacy_file,
        }
        for each in mine
    ]


def _file(text: str, name: str) -> HttpResponse:
    answer = HttpResponse(text, content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
