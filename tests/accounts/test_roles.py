"""Roles: who may do what at the desk, in the code, in the README and in the admin."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts import roles
from accounts.models.members import Member
from accounts.models.tokens import ApiToken
from accounts.roles import DEEDS, SEEN, Role
from exchange.lib.models import AuditRecord
from markets.models import Market
from tests import rows
from tests.databases import ROOT
from tests.makers import PASSWORD, make_member, make_token, prove
from tests.races.crowd import at_once

pytestmark = pytest.mark.django_db

OURS = ("accounts", "auth", "lib", "markets", "taggit", "wallets")


def appoint(name: str, *held: Role) -> Member:
    member = make_member(name)
    for role in held:
        roles.grant(member=member, role=role, by="operator:0", reason="a test")
    fresh: Member = Member.objects.get(pk=member.pk)
    return fresh


def desk_of(member: Member) -> Client:
    """Return the browser of an operator who has just proven who they are."""
    browser = Client()
    browser.force_login(member)
    prove(browser, member)
    return browser


def url(model: type[Model], page: str, *args: Any) -> str:
    name = model._meta.label_lower.replace(".", "_")
    return reverse(f"admin:{name}_{page}", args=args)


def act(browser: Client, row: Model, action: str, **form: str) -> int:
    whole = {"action": action, "_selected_action": [row.pk], "reason": "a test", **form}
    return browser.post(url(type(row), "changelist"), whole).status_code


@pytest.mark.promise("S-79")
@pytest.mark.parametrize("role", Role)
def test_a_role_may_what_the_matrix_says(role: Role) -> None:
    member = appoint("rita", role)

    deeds = {name for name in DEEDS if member.has_perm(name)}
    seen = {name for name in SEEN if member.has_perm(name.replace(".", ".view_"))}

    assert deeds == {name for name, held in DEEDS.items() if role in held}
    everything = role == Role.AUDITOR
    assert seen == {name for name, held in SEEN.items() if everything or role in held}
    assert member.get_all_permissions() == {
        *deeds,
        *(name.replace(".", ".view_") for name in seen),
        *(
            each
            for each in member.get_all_permissions()
            if everything and "view_" in each
        ),
    }


@pytest.mark.promise("S-79")
def test_the_matrix_stands_in_the_readme() -> None:
    written = (ROOT / "accounts" / "README.md").read_text()

    assert roles.table() in written, f"accounts/README.md needs:\n\n{roles.table()}\n"


def test_no_row_is_named_that_does_not_exist() -> None:
    models = {model._meta.label_lower for model in admin.site._registry}

    assert set(SEEN) <= models
    for name in DEEDS:
        assert roles._permissions(name).exists(), name


@pytest.mark.promise("S-79")
def test_nobody_may_appoint_but_the_superuser(olive: Member) -> None:
    allmighty = appoint("rita", *Role)

    assert not allmighty.is_superuser
    assert not allmighty.has_perm("accounts.grant_role")
    assert olive.has_perm("accounts.grant_role")


@pytest.mark.promise("S-79")
def test_the_auditor_looks_at_everything_and_changes_nothing() -> None:
    rita = appoint("rita", Role.AUDITOR)
    browser = desk_of(rita)
    request = RequestFactory().get("/admin/")
    request.user = rita
    make_token(make_member("carol"))

    for model, desk in admin.site._registry.items():
        if model._meta.app_label not in OURS:
            continue
        assert browser.get(url(model, "changelist")).status_code == 200, model
        assert desk.get_actions(request) == {}, model
        assert not desk.has_add_permission(request), model
        assert not desk.has_change_permission(request), model
        assert not desk.has_delete_permission(request), model
    before = rows.dump()
    assert (
        browser.post(url(Market, "change", "btccny"), {"tick": "1"}).status_code == 403
    )
    assert browser.post(url(Market, "add"), {"tick": "1"}).status_code == 403
    assert rows.dump() == before


@pytest.mark.promise("S-79", "S-82")
@pytest.mark.parametrize(
    ("role", "action", "is_done"),
    [
        (Role.SUPPORT, "freeze", True),
        (Role.RISK, "freeze", True),
        (Role.SUPPORT, "close", False),
        (Role.RISK, "close", True),
        (Role.SUPPORT, "thaw", False),
        (Role.KYC, "freeze", False),
        (Role.FINANCE, "freeze", False),
        (Role.ENGINEER, "freeze", False),
        (Role.AUDITOR, "freeze", False),
        (Role.RISK, "grant", False),
    ],
)
def test_an_action_needs_its_right(
    alice: Member, role: Role, action: str, is_done: bool
) -> None:
    browser = desk_of(appoint("rita", role))

    status = act(browser, alice, action, role="auditor")

    fresh = Member.objects.get(pk=alice.pk)
    refused = AuditRecord.objects.filter(action="refused", facts={"deed": action})
    assert ((fresh.state, fresh.is_staff) != ("active", False)) == is_done
    assert (status, refused.count()) == ((302, 0) if is_done else (403, 1))


@pytest.mark.promise("S-79")
@pytest.mark.parametrize(
    ("role", "is_done"), [(Role.RISK, True), (Role.SUPPORT, False)]
)
def test_a_key_is_revoked_by_who_may(alice: Member, role: Role, is_done: bool) -> None:
    token = make_token(alice).token

    act(desk_of(appoint("rita", role)), token, "revoke")

    assert (ApiToken.objects.get(pk=token.pk).revoked_at is not None) == is_done


@pytest.mark.promise("S-79", "S-68")
@pytest.mark.parametrize(
    ("role", "is_whole"),
    [(Role.SUPPORT, False), (Role.FINANCE, False), (Role.KYC, True)],
)
def test_support_sees_personal_data_masked(
    alice: Member, role: Role, is_whole: bool
) -> None:
    browser = desk_of(appoint("rita", role))

    pages = [
        browser.get(url(Member, "changelist"), {"q": "alice@example.com"}),
        browser.get(url(Member, "change", alice.pk)),
    ]

    for page in pages:
        text = page.content.decode().replace('value="alice@example.com"', "")
        assert alice.sn in text
        assert ("alice@example.com" in text) == is_whole


def test_it_appoints_and_dismisses_with_a_reason(olive: Member, alice: Member) -> None:
    desk = desk_of(olive)

    act(desk, alice, "grant", role="support", reason="")
    act(desk, alice, "grant", role="nonsense")
    assert not Member.objects.get(pk=alice.pk).is_staff
    act(desk, alice, "grant", role="support")
    act(desk, alice, "grant", role="support")
    appointed = Member.objects.get(pk=alice.pk)
    may_answer = appointed.has_perm("accounts.answer_ticket")
    act(desk, alice, "revoke", role="support")
    act(desk, alice, "revoke", role="support")
    dismissed = Member.objects.get(pk=alice.pk)

    assert appointed.is_staff
    assert not appointed.is_superuser
    assert may_answer
    assert not dismissed.is_staff
    assert not dismissed.has_perm("accounts.answer_ticket")
    deeds = AuditRecord.objects.filter(action__startswith="role_").order_by("pk")
    assert [(each.action, each.actor, each.facts) for each in deeds] == [
        (
            f"role_{deed}",
            f"operator:{olive.pk}",
            {"role": "support", "reason": "a test"},
        )
        for deed in ("granted", "revoked")
    ]


@pytest.mark.promise("S-79")
def test_nobody_appoints_themselves(olive: Member) -> None:
    act(desk_of(olive), olive, "grant", role="auditor")

    assert not Member.objects.get(pk=olive.pk).groups.exists()
    with pytest.raises(roles.OwnRole):
        roles.revoke(
            member=olive, role=Role.AUDITOR, by=f"operator:{olive.pk}", reason="a test"
        )


def test_who_loses_one_of_two_roles_stays_an_operator() -> None:
    rita = appoint("rita", Role.SUPPORT, Role.KYC)

    roles.revoke(member=rita, role=Role.KYC, by="operator:0", reason="a test")

    assert Member.objects.get(pk=rita.pk).is_staff


@pytest.mark.races
def test_two_who_dismiss_at_once_leave_no_operator_without_a_role() -> None:
    for number in range(5):
        rita = appoint(f"rita{number}", Role.SUPPORT, Role.KYC)

        at_once(
            *(
                lambda role=role, rita=rita: roles.revoke(
                    member=rita, role=role, by="operator:0", reason="a test"
                )
                for role in (Role.SUPPORT, Role.KYC)
            )
        )

        assert not Member.objects.get(pk=rita.pk).is_staff


def test_installing_again_undoes_what_was_done_by_hand() -> None:
    support = Group.objects.get(name="support")
    before = set(support.permissions.values_list("codename", flat=True))
    support.permissions.set(roles._permissions("accounts.grant_role"))

    roles.install()
    roles.install()

    assert set(support.permissions.values_list("codename", flat=True)) == before
    assert Group.objects.count() == len(Role)


@pytest.mark.promise("S-79")
def test_the_command_makes_an_operator_who_is_no_superuser() -> None:
    call_command(
        *("create_member", "rita@example.com", "--password", PASSWORD),
        *("--role", "support", "--role", "kyc"),
        stdout=StringIO(),
    )

    rita = Member.objects.get(email="rita@example.com")
    assert (rita.is_staff, rita.is_superuser) == (True, False)
    assert {group.name for group in rita.groups.all()} == {"support", "kyc"}
