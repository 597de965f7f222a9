"""
Codes by SMS: six digits, for one purpose in one session, good for five minutes, once.

A code is written down first, in the transaction of whoever asked, and sent after it by
a job that looks every two seconds: the row is the queue. It is kept as a keyed digest;
what is to be sent is encrypted until it has been.

Codes are few, and nobody uses up another's. Those to sign in, which whoever knows the
password can ask for, are counted for each network, and in all; a browser the member has
signed in with has its own count, and so has who is signed in. Those to a phone that is
to be added take nothing from the phone's owner.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import phonenumbers
from django.conf import settings
from django.utils import translation
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from phonenumbers import NumberParseException, PhoneNumberType, ValidationResult

from accounts import members, networks, throttling
from accounts.devices import Device
from accounts.factors import attempts, changes, sms_gateways
from accounts.factors.attempts import WrongCode
from accounts.models.factors import Phone, SmsCode
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.session_store import digest_of
from exchange.lib import audit
from exchange.lib.errors import Invalid, NotFound, Refused, TooMany, UpstreamError
from exchange.lib.sealed import fingerprint, seal, unseal
from exchange.lib.transactions import transaction, transaction_required

log = logging.getLogger(__name__)

VALID = timedelta(minutes=5)
KEPT = timedelta(days=1)
PER_DAY = 20  # to one who asks; and to a phone that may be somebody else's
PER_DAY_TO_MEMBER = 60  # asked for by strangers, who must know the password
ENROLMENTS_PER_DAY = 10
TRIES_MAX = 3
_PAUSE = timedelta(seconds=20)  # longer than a gateway is waited for
_SENT_IN_ONE_RUN = 100
_DIGITS = 6
_SEALED_FOR = "sms"
_MOBILE = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}


class BadNumber(Invalid):
    """The text is no number of a mobile phone. The message says what is wrong."""

    code = "bad_phone_number"


class NotOffered(Refused):
    """This exchange sends no SMS."""

    code = "sms_not_offered"
    text = _("Codes by SMS are not offered here. Please use another factor.")


class EnoughForToday(TooMany):
    """Each code costs money: a member, and a number, gets so many a day."""

    code = "too_many_sms"
    text = _(
        "We have sent you many codes today. Please use another factor, or try again"
        " tomorrow."
    )


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks for a code: a network, a known browser, or a member who is inside."""

    name: str
    is_stranger: bool

    @property
    def digest(self) -> str:
        return digest_of(self.name)


def is_offered() -> bool:
    """Say whether this exchange can send an SMS."""
    return bool(settings.SMS_URL) or not settings.PRODUCTION


def parse_number(text: str, *, country: str) -> str:
    """
    Return a mobile phone's number as E.164. `country` is where it counts as national;
    a number that starts with + says so itself.

    Raises BadNumber.
    """
    try:
        number = phonenumbers.parse(text[:40], country)
    except NumberParseException as error:
        raise BadNumber(
            _("This is no phone number. Please give it with its country.")
        ) from error
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible == ValidationResult.TOO_SHORT:
        raise BadNumber(_("This number is too short. Please look for a missing digit."))
    if possible == ValidationResult.TOO_LONG:
        raise BadNumber(_("This number is too long. Please look for an extra digit."))
    if not phonenumbers.is_valid_number(number):
        raise BadNumber(_("There is no such number in this country. Please check it."))
    if phonenumbers.number_type(number) not in _MOBILE:
        raise BadNumber(_("We can only send codes to mobile phones."))
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def masked(number: str) -> str:
    """Return as much of a number as tells its owner which it is."""
    return f"{number[:3]} … {number[-3:]}"


def send_enrolment_code(
    *, member: Member, number: str, session_key: str, address: str, now: datetime
) -> None:
    """Send a code to a phone that is to become a factor. Raises as `send_code` does."""
    _demand_offered()
    with attempts.waiting():
        throttling.count_enrolment_sms(
            member_id=member.pk, number=number, address=address, now=now
        )
    _write(
        member=member,
        number=number,
        purpose=SmsCode.Purpose.ENROLMENT,
        session_key=session_key,
        asker=_Asker(str(member.pk), is_stranger=True),
        now=now,
    )


def send_code(
    *,
    member: Member,
    purpose: Proof.Purpose,
    session_key: str,
    device: Device,
    address: str,
    now: datetime,
) -> None:
    """
    Send a code to the member's phone. Codes sent before it for the same are void.

    Raises NotOffered, NotFound where there is no phone, TooManyAttempts, or
    EnoughForToday.
    """
    phone = Phone.objects.filter(member=member).order_by("pk").first()
    if phone is None:
        raise NotFound
    _demand_offered()
    asker = _asker(member, purpose, device, address)
    with attempts.waiting():
        throttling.count_sms(
            member_id=member.pk,
            asker=asker.digest,
            is_stranger=asker.is_stranger,
            now=now,
        )
    _write(
        member=member,
        number=phone.number,
        purpose=SmsCode.Purpose(purpose.value),
        session_key=session_key,
        asker=asker,
        now=now,
    )


def number_being_enrolled(
    *, member: Member, session_key: str, now: datetime
) -> str | None:
    """Return to which phone an enrolment code is on its way, if one is still good."""
    found = _live(member, SmsCode.Purpose.ENROLMENT, session_key, now)
    return found.number if found else None


def enrol(*, member: Member, code: str, session_key: str, now: datetime) -> list[str]:
    """
    Take the phone that received the code, instead of the one before it.

    Returns recovery codes to be shown once, where the member had none. Raises
    WrongCode or TooManyAttempts.
    """
    attempts.count(member_id=member.pk, now=now)
    with transaction():
        members.lock_member(member)
        sent = _spend(member, code, SmsCode.Purpose.ENROLMENT, session_key, now)
        Phone.objects.update_or_create(
            member=member, defaults={"number": sent.number, "created_at": now}
        )
        codes = changes.added(
            member=member, factor=Proof.Factor.SMS, session_key=session_key, now=now
        )
    attempts.forget(member_id=member.pk, now=now)
    return codes


@transaction_required
def use(
    *,
    member: Member,
    code: str,
    purpose: Proof.Purpose,
    session_key: str,
    now: datetime,
) -> None:
    """Use a code up, of this purpose and this session. Raises WrongCode."""
    _spend(member, code, SmsCode.Purpose(purpose.value), session_key, now)


def remove(*, member: Member, session_key: str | None, now: datetime) -> None:
    """Forget the phone. Raises NotFound where there is none."""
    with transaction():
        members.lock_member(member)
        count, _ = Phone.objects.filter(member=member).delete()
        if not count:
            raise NotFound
        _void(member, now)
        changes.removed(
            member=member, factor=Proof.Factor.SMS, session_key=session_key, now=now
        )


def send_waiting(*, now: datetime) -> int:
    """Send what is due; return how many left. Safe to run twice at once."""
    sent = 0
    for _n in range(_SENT_IN_ONE_RUN):
        code = _take(now)
        if code is None:
            break
        sent += _send(code, now)
    return sent


def forget_old(*, now: datetime) -> int:
    """Forget codes that are long past, and the numbers they went to."""
    count, _ = SmsCode.objects.filter(created_at__lt=now - KEPT).delete()
    return count


def _write(
    *,
    member: Member,
    number: str,
    purpose: SmsCode.Purpose,
    session_key: str,
    asker: _Asker,
    now: datetime,
) -> None:
    code = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}}"
    with transaction():
        members.lock_member(member)
        _demand_few(member, number, purpose, asker, now)
        _void(member, now, purpose=purpose)
        row = SmsCode.objects.create(
            member=member,
            number=number,
            purpose=purpose,
            session=digest_of(session_key),
            asker=asker.digest,
            digest="",
            created_at=now,
            expires_at=now + VALID,
            try_at=now,
        )
        row.digest = _digest(row.pk, code)
        text = _text(code, purpose, member.language or "en")
        row.sealed = seal(text.encode(), purpose=_SEALED_FOR, bound_to=str(row.pk))
        row.save(update_fields=["digest", "sealed"])
        who = f"member:{member.pk}"
        audit.record(who, "sms_code_asked_for", who, purpose=purpose.value)


def _demand_offered() -> None:
    if not is_offered():
        raise NotOffered


def _asker(
    member: Member, purpose: Proof.Purpose, device: Device, address: str
) -> _Asker:
    if purpose != Proof.Purpose.SIGN_IN:
        return _Asker("signed in", is_stranger=False)
    if device.knows(member.email):
        return _Asker(device.id, is_stranger=False)
    return _Asker(networks.allotted(address), is_stranger=True)


def _demand_few(
    member: Member,
    number: str,
    purpose: SmsCode.Purpose,
    asker: _Asker,
    now: datetime,
) -> None:
    today = SmsCode.objects.filter(created_at__gt=now - KEPT)
    mine = today.filter(member=member, purpose=purpose)
    if purpose == SmsCode.Purpose.ENROLMENT:
        bounds = [(mine, ENROLMENTS_PER_DAY), (today.filter(number=number), PER_DAY)]
    else:
        bounds = [(mine.filter(asker=asker.digest), PER_DAY)]
        if asker.is_stranger:
            bounds += [(mine, PER_DAY_TO_MEMBER)]
    if any(sent.count() >= most for sent, most in bounds):
        raise EnoughForToday(retry_after_seconds=int(KEPT.total_seconds()))


def _text(code: str, purpose: SmsCode.Purpose, language: str) -> str:
    with translation.override(language):
        words = {
            SmsCode.Purpose.SIGN_IN: gettext(
                "%(code)s is your code to sign in to Pixiu."
            ),
            SmsCode.Purpose.SECURITY: gettext(
                "%(code)s is your code to change security settings at Pixiu."
            ),
            SmsCode.Purpose.WITHDRAWAL: gettext(
                "%(code)s is your code to withdraw from Pixiu."
            ),
            SmsCode.Purpose.ENROLMENT: gettext(
                "%(code)s is your code to add this phone at Pixiu."
            ),
        }
        advice = gettext("Good for 5 minutes. Never tell it to anybody, us included.")
    return f"{words[purpose] % {'code': code}} {advice}"


def _spend(
    member: Member,
    code: str,
    purpose: SmsCode.Purpose,
    session_key: str,
    now: datetime,
) -> SmsCode:
    found = _live(member, purpose, session_key, now)
    digits = "".join(code[:16].split())
    if found is None or not constant_time_compare(
        found.digest, _digest(found.pk, digits)
    ):
        raise WrongCode
    # One statement looks and writes: of parallel requests one finds it unspent.
    unspent = SmsCode.objects.filter(pk=found.pk, spent_at=None)
    if unspent.update(spent_at=now, sealed=None) != 1:
        raise WrongCode
    return found


def _live(
    member: Member, purpose: SmsCode.Purpose, session_key: str, now: datetime
) -> SmsCode | None:
    mine = SmsCode.objects.filter(
        member=member,
        purpose=purpose,
        session=digest_of(session_key),
        expires_at__gt=now,
        spent_at=None,
    )
    return mine.order_by("-pk").first()


def _void(
    member: Member, now: datetime, purpose: SmsCode.Purpose | None = None
) -> None:
    unspent = SmsCode.objects.filter(member=member, spent_at=None)
    if purpose is not None:
        unspent = unspent.filter(purpose=purpose)
    unspent.update(spent_at=now, sealed=None)


def _take(now: datetime) -> SmsCode | None:
    """Claim the code that waits longest: who dies while sending tries again later."""
    with transaction():
        code = lock_next_code(now)
        if code is not None:
            code.tries += 1
            code.try_at = now + _PAUSE
            code.save(update_fields=["tries", "try_at"])
    return code


def lock_next_code(now: datetime) -> SmsCode | None:
    """Lock and return the code that is due longest, passing over what others hold."""
    due = SmsCode.objects.select_for_update(no_key=True, skip_locked=True).filter(
        sealed__isnull=False,
        try_at__lte=now,
        expires_at__gt=now,
        tries__lt=TRIES_MAX,
    )
    return due.order_by("try_at", "pk").first()


def _send(code: SmsCode, now: datetime) -> bool:
    sealed = bytes(code.sealed or b"")
    text = unseal(sealed, purpose=_SEALED_FOR, bound_to=str(code.pk)).decode()
    row = SmsCode.objects.filter(pk=code.pk)
    try:
        sms_gateways.chosen().send(
            number=code.number, text=text, reference=f"sms-{code.pk}"
        )
    except UpstreamError as error:
        log.warning("SMS %s did not leave: %s %s", code.pk, type(error).__name__, error)
        if not error.is_transient:
            row.update(sealed=None)
        return False
    row.update(sent_at=now, sealed=None)
    return True


def _digest(pk: int, code: str) -> str:
    return fingerprint(f"{pk}|{code}".encode(), purpose=_SEALED_FOR)
