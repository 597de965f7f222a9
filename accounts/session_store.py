"""
Where sessions are kept: PostgreSQL, under the digest of their key.

What the browser's cookie holds is nowhere in the database. Of a session that is saved
only contents, expiry and member are written; where and when it was seen is the business
of accounts.sessions.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from django.contrib import auth
from django.contrib.sessions.backends.base import (
    CreateError,
    SessionBase,
    UpdateError,
)
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import DatabaseError, IntegrityError
from django.utils import timezone

from accounts.models.sessions import Session


def digest_of(session_key: str) -> str:
    """Return under which name a session is kept: 40 hexadecimal digits."""
    return blake2b(session_key.encode(), digest_size=20).hexdigest()


class SessionStore(SessionBase):
    """What SESSION_ENGINE names."""

    @classmethod
    def clear_expired(cls) -> None:
        Session.objects.filter(expire_date__lt=timezone.now()).delete()

    def load(self) -> dict[str, Any]:
        live = Session.objects.filter(expire_date__gt=timezone.now())
        key = digest_of(str(self.session_key))
        found = live.filter(pk=key).values_list("session_data", flat=True)
        if not found:
            self._session_key = None
            return {}
        return dict(self.decode(found[0]))

    def create(self) -> None:
        while True:
            self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]
            try:
                self.save(must_create=True)
            except CreateError:
                continue  # somebody has this key: as likely as never
            self.modified = True
            return

    def cycle_key(self) -> None:
        """
        Give the session another key. One of a member moves in one statement, so that
        what was ended meanwhile, from elsewhere, does not come back under a new key.
        Raises SessionInterrupted.
        """
        if self.session_key is None or auth.SESSION_KEY not in self:
            super().cycle_key()
            return
        fresh = self._get_new_session_key()  # type: ignore[attr-defined]
        row = Session.objects.filter(pk=digest_of(self.session_key))
        if not row.update(session_key=digest_of(fresh)):
            self.flush()
            raise SessionInterrupted("The session was ended from elsewhere.")
        self._session_key = fresh
        self.modified = True

    def exists(self, session_key: str) -> bool:
        return Session.objects.filter(pk=digest_of(session_key)).exists()

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            self.create()
            return
        session = self._as_row(self._get_session(no_load=must_create))  # type: ignore[attr-defined]
        if must_create:
            try:
                session.save(force_insert=True)
            except IntegrityError as error:
                raise CreateError from error
            return
        written = ["session_data", "expire_date", "member"]
        try:
            session.save(force_update=True, update_fields=written)
        except DatabaseError as error:
            raise UpdateError from error

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            Session.objects.filter(pk=digest_of(key)).delete()

    def _as_row(self, data: dict[str, Any]) -> Session:
        member_id = data.get(auth.SESSION_KEY)
        return Session(
            session_key=digest_of(self._get_or_create_session_key()),  # type: ignore[attr-defined]
            session_data=self.encode(data),
            expire_date=self.get_expiry_date(),
            member_id=None if member_id is None else int(member_id),
        )
