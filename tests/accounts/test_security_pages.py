"""The security page: what there is, and adding and removing it with care."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.factors import keyring, passkeys, recovery, sms
from accounts.models.factors import Passkey, Phone, RecoveryCode, SmsCode, Totp
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.models.sessions import Session
from accounts.session_store import digest_of
from accounts.urls import urlpatterns
from tests import rows
from tests.authenticator import Authenticator
from tests.makers import PASSWORD, Answer, code_of, enrol_totp, prove

pytestmark = pytest.mark.django_db

OURS = [
    "account/security/totp",
    "account/security/phone",
    "account/security/phone/code",
    "account/security/passkeys",
    "account/security/passkeys/1",
    "account/security/recovery",
    "account/security/remove/totp",
    "account/security/remove/phone",
    "account/security/remove/passkey/1",
]
REMOVING = [path for path in OURS if "remove" in path or "recovery" in path]


@pytest.fixture
def browser(alice: Member) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def words(answer: Answer) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def set_up_totp(browser: Client) -> Answer:
    page = browser.get("/account/security/totp")
    code = code_of(page.context["offer"].secret, timezone.now())
    return browser.post("/account/security/totp", {"code": code})


def test_it_says_of_every_page_who_may_enter() -> None:
    doors = {
        str(route.pattern): getattr(route.callback, "needs", None)
        for route in urlpatterns
    }

    for path in OURS:
        pattern = re.sub(r"remove/(totp|phone)$", "remove/<str:kind>", path)
        pattern = re.sub(r"/1$", "/<int:pk>", pattern)
        assert doors[pattern] == "proof", path
    assert doors["account/security"] == doors["prove"] == "member"
    assert doors["signin/verify"] == doors["signin/lost"] == "public"


@pytest.mark.promise("S-20")
@pytest.mark.parametrize("path", OURS)
@pytest.mark.parametrize("verb", ["get", "post"])
def test_it_asks_for_a_proof_first(
    alice: Member, browser: Client, path: str, verb: str
) -> None:
    enrol_totp(alice, browser)
    before = rows.dump()

    answer = getattr(browser, verb)(f"/{path}", {"code": "1"})

    assert answer.status_code == 302
    assert answer["Location"].startswith("/prove?next=")
    assert rows.dump() == before


@pytest.mark.promise("S-20", "S-25")
@pytest.mark.parametrize("path", REMOVING)
def test_it_takes_no_password_for_a_proof_of_who_removes(
    alice: Member, browser: Client, path: str
) -> None:
    enrol_totp(alice, browser)
    prove(browser, alice, "password")

    answer = browser.post(f"/{path}")

    assert answer["Location"].startswith("/prove?next=")
    assert Totp.objects.exists()


@pytest.mark.promise("S-25")
def test_a_proof_by_password_ends_with_the_first_factor(
    alice: Member, browser: Client
) -> None:
    prove(browser, alice, "password")
    set_up_totp(browser)

    here = digest_of(str(browser.session.session_key))
    assert Proof.objects.get(session=here).factor == "totp"


def test_a_new_factor_is_a_proof(
    alice: Member, browser: Client, texts: list[str]
) -> None:
    """Whoever has just set one up is not asked for it again."""
    prove(browser, alice, "password")

    set_up_totp(browser)
    number = {"country": "DE", "number": "0151 12345678"}
    browser.post("/account/security/phone", number)
    sms.send_waiting(now=timezone.now())
    browser.post("/account/security/phone/code", {"code": texts[0][:6]})
    add_passkey(browser, Authenticator(passkeys.origin()), "Blue")

    held = keyring.of(alice)
    assert held.totp
    assert held.phone
    assert held.passkeys
    assert browser.get("/account/security/recovery").status_code == 200
    shown = Proof.objects.order_by("pk").values_list("factor", flat=True)
    assert list(shown) == ["password", "totp", "sms", "passkey"]


@pytest.mark.promise("S-21")
@pytest.mark.parametrize("path", ["account/security", *OURS[:4]])
def test_it_leaves_nothing_in_caches(alice: Member, browser: Client, path: str) -> None:
    prove(browser, alice)

    assert "no-store" in browser.get(f"/{path}")["Cache-Control"]


@pytest.mark.promise("S-24", "S-25")
def test_it_sets_up_an_app(alice: Member, browser: Client) -> None:
    prove(browser, alice, "password")
    before = str(browser.session.session_key)
    page = browser.get("/account/security/totp")
    secret = page.context["offer"].secret

    wrong = browser.post("/account/security/totp", {"code": "000000"})
    right = set_up_totp(browser)

    assert page.context["offer"].groups in page.content.decode()
    assert 'src="data:image/svg+xml' in page.content.decode()
    assert (wrong.status_code, right.status_code) == (422, 200)
    codes = re.findall(r"<code>([0-9A-Z-]{19})</code>", right.content.decode())
    assert len(codes) == 10
    assert "no-store" in right["Cache-Control"]
    assert secret not in right.content.decode()
    assert str(browser.session.session_key) != before
    # A new secret would be another one.
    prove(browser, alice)
    assert secret not in browser.get("/account/security/totp").content.decode()


def test_it_signs_the_other_sessions_out(alice: Member, browser: Client) -> None:
    other = Client()
    other.force_login(alice)
    prove(browser, alice, "password")

    set_up_totp(browser)

    assert other.get("/account/security")["Location"].startswith("/signin")
    assert browser.get("/account/security").status_code == 200
    assert Session.objects.filter(member=alice).count() == 1


def test_it_sets_up_a_phone(alice: Member, browser: Client, texts: list[str]) -> None:
    prove(browser, alice, "password")
    form = {"country": "DE", "number": "0151 12345678"}

    sent = browser.post("/account/security/phone", form)
    assert texts == []  # nothing leaves within the request
    sms.send_waiting(now=timezone.now())
    page = browser.get("/account/security/phone/code")
    wrong = browser.post("/account/security/phone/code", {"code": "x"})
    right = browser.post("/account/security/phone/code", {"code": texts[0][:6]})

    assert sent["Location"] == "/account/security/phone/code"
    assert "+49 … 678" in page.content.decode()
    assert (wrong.status_code, right.status_code) == (422, 200)
    assert Phone.objects.get().number == "+4915112345678"
    page = browser.get("/account/security")
    assert "+4915112345678" not in page.content.decode()


@pytest.mark.parametrize(
    ("language", "country"),
    [
        ("de-AT,de;q=0.9", "AT"),
        ("zh-Hans", "CN"),
        ("de", "DE"),
        ("zh-hant-hk,en", "HK"),
    ],
)
def test_it_guesses_the_country_of_a_phone(
    alice: Member, browser: Client, language: str, country: str
) -> None:
    prove(browser, alice, "password")

    page = browser.get(
        "/account/security/phone", headers={"accept-language": language}
    ).content.decode()

    assert f'<option value="{country}" selected>' in page


@pytest.mark.parametrize("path", OURS[:2] + OURS[3:4])
def test_one_can_leave_a_page_that_adds_a_factor(
    alice: Member, browser: Client, path: str
) -> None:
    prove(browser, alice, "password")

    page = browser.get(f"/{path}").content.decode()

    assert '<a class="button" href="/account/security">Cancel</a>' in page


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"country": "DE", "number": "030 901820"}, "only send codes to mobile"),
        ({"country": "DE", "number": "x"}, "no phone number"),
        ({"country": "XX", "number": "0151 12345678"}, "not one of the available"),
        ({"country": "DE", "number": ""}, "required"),
    ],
)
def test_it_says_what_is_wrong_with_a_number(
    alice: Member, browser: Client, form: dict[str, str], says: str
) -> None:
    prove(browser, alice, "password")

    answer = browser.post("/account/security/phone", form)

    assert answer.status_code == 400
    assert says in words(answer)
    assert not SmsCode.objects.exists()


def test_it_says_when_another_code_may_be_sent(alice: Member, browser: Client) -> None:
    prove(browser, alice, "password")
    form = {"country": "DE", "number": "0151 12345678"}
    for _ in range(3):
        browser.post("/account/security/phone", form)

    answer = browser.post("/account/security/phone", form)

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert "Too many attempts. Please try again in" in words(answer)


def test_it_asks_for_a_number_before_a_code(alice: Member, browser: Client) -> None:
    prove(browser, alice, "password")

    answer = browser.get("/account/security/phone/code")

    assert answer["Location"] == "/account/security/phone"


def test_it_offers_no_sms_where_there_is_none(
    alice: Member, browser: Client, settings: Any
) -> None:
    settings.PRODUCTION = True
    prove(browser, alice, "password")

    page = browser.get("/account/security")
    answer = browser.post(
        "/account/security/phone", {"country": "DE", "number": "0151 12345678"}
    )

    assert "SMS" not in words(page)
    assert answer.status_code == 422
    assert not SmsCode.objects.exists()


def add_passkey(browser: Client, key: Authenticator, label: str) -> Answer:
    page = browser.get("/account/security/passkeys")
    form = {"label": label, "code": key.create(page.context["options"])}
    return browser.post("/account/security/passkeys", form)


def test_it_adds_renames_and_removes_passkeys(alice: Member, browser: Client) -> None:
    prove(browser, alice, "password")
    added = add_passkey(browser, Authenticator(passkeys.origin()), "Blue")
    prove(browser, alice, "passkey")
    again = add_passkey(browser, Authenticator(passkeys.origin()), "<b>Red</b>")
    prove(browser, alice, "passkey")
    blue, red = Passkey.objects.order_by("pk")

    browser.post(f"/account/security/passkeys/{blue.pk}", {"label": "Navy"})
    page = browser.get("/account/security").content.decode()
    asked = browser.get(f"/account/security/remove/passkey/{red.pk}")
    kept = Passkey.objects.count()
    removed = browser.post(f"/account/security/remove/passkey/{red.pk}")

    assert (added.status_code, again.status_code) == (200, 302)
    assert "Navy" in page
    assert "&lt;b&gt;Red" in page
    assert (asked.status_code, kept) == (200, 2)
    assert removed["Location"] == "/account/security"
    assert Passkey.objects.get() == blue


@pytest.mark.promise("S-69")
def test_it_shows_nobody_elses_passkeys(
    alice: Member, mallory: Member, browser: Client
) -> None:
    prove(browser, alice, "password")
    add_passkey(browser, Authenticator(passkeys.origin()), "Blue")
    pk = Passkey.objects.get().pk
    crook = Client()
    crook.force_login(mallory)
    prove(crook, mallory)
    before = rows.dump()

    for path in (f"passkeys/{pk}", f"remove/passkey/{pk}"):
        assert crook.get(f"/account/security/{path}").status_code == 404
        assert crook.post(f"/account/security/{path}").status_code == 404
    assert rows.dump() == before


@pytest.mark.promise("S-25")
def test_it_warns_before_the_last_factor_goes(alice: Member, browser: Client) -> None:
    enrol_totp(alice, browser)
    prove(browser, alice)

    asked = browser.get("/account/security/remove/totp")
    removed = browser.post("/account/security/remove/totp")

    assert "It is your last factor" in words(asked)
    assert removed["Location"] == "/account/security"
    assert keyring.of(alice).is_empty
    assert not RecoveryCode.objects.exists()


@pytest.mark.parametrize("kind", ["totp", "phone", "passkeys", "recovery_left", "x"])
def test_it_removes_nothing_that_is_not_there(
    alice: Member, browser: Client, kind: str
) -> None:
    prove(browser, alice)

    assert browser.post(f"/account/security/remove/{kind}").status_code == 404


@pytest.mark.promise("S-26")
def test_it_shows_recovery_codes_once_and_warns_when_few_are_left(
    alice: Member, browser: Client
) -> None:
    enrol_totp(alice, browser)
    prove(browser, alice)

    before = browser.get("/account/security/recovery")
    made = browser.post("/account/security/recovery")
    code = re.findall(r"<code>([0-9A-Z-]{19})</code>", made.content.decode())[0]
    after = browser.get("/account/security/recovery")

    assert "download=" in made.content.decode()
    assert code not in before.content.decode() + after.content.decode()
    assert "Please make new ones" not in words(browser.get("/account/security"))
    used = RecoveryCode.objects.order_by("pk")[: recovery.COUNT - recovery.LOW]
    for row in used:
        row.used_at = timezone.now()
        row.save(update_fields=["used_at"])
    page = browser.get("/account/security")
    assert "3 codes left. Please make new ones" in words(page)


def test_it_makes_no_recovery_codes_for_who_has_no_factor(
    alice: Member, browser: Client
) -> None:
    prove(browser, alice)

    assert browser.post("/account/security/recovery").status_code == 302
    assert not RecoveryCode.objects.exists()


@pytest.mark.promise("U-76")
def test_it_keeps_a_score(alice: Member, browser: Client) -> None:
    before = words(browser.get("/account/security"))
    enrol_totp(alice, browser)
    alice.mail_phrase = "a green elephant"
    alice.save(update_fields=["mail_phrase"])
    after = words(browser.get("/account/security"))

    assert "Protection: 1 of 6" in before
    assert "Missing: A second factor is asked for" in before
    assert "Protection: 4 of 6" in after
    assert "Done: A second factor is asked for" in after


@pytest.mark.promise("S-28")
def test_it_counts_attempts_at_setting_up(alice: Member, browser: Client) -> None:
    prove(browser, alice, "password")
    for _ in range(5):
        browser.post("/account/security/totp", {"code": "000000"})

    assert set_up_totp(browser).status_code == 429
    assert browser.post("/prove", {"code": PASSWORD}).status_code == 429


@pytest.mark.promise("S-24")
def test_the_admin_shows_no_secrets(
    olive: Member, alice: Member, texts: list[str]
) -> None:
    enrol_totp(alice)
    now = timezone.now()
    sms.send_enrolment_code(
        member=alice, number="+4915112345678", session_key="a", address="", now=now
    )
    sms.send_waiting(now=now)
    sms.enrol(member=alice, code=texts[0][:6], session_key="a", now=now)
    desk = Client()
    desk.force_login(olive)
    prove(desk, olive)

    for model in (Totp, Phone, SmsCode, RecoveryCode):
        name = model._meta.model_name
        row = model._default_manager.order_by("pk")[0]
        for path in ("", f"{row.pk}/change/"):
            page = desk.get(f"/admin/accounts/{name}/{path}")
            text = page.content.decode()
            assert page.status_code == 200
            assert "+4915112345678" not in text
            assert str(getattr(row, "digest", "never")) not in text
            assert "sealed" not in text
