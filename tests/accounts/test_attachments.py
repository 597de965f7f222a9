"""Files sent to our support: looked into, written anew, sealed, handed out safely."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image, PngImagePlugin
from pytest_django import Settings

from accounts import attachments, pictures, roles, tickets
from accounts.attachments import BadFile, FileTooLarge, Sent, TooManyFiles
from accounts.models.members import Member
from accounts.models.tickets import Attachment, Comment, Ticket
from accounts.roles import Role
from accounts.standing import AddressNotConfirmed
from exchange.lib.models import AuditRecord
from tests import rows
from tests.makers import make_member, prove

pytestmark = pytest.mark.django_db

PDF = b"%PDF-1.4\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>\n%%EOF\n"
HTML = b"<html><script>alert(1)</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where this test's files lie, once there are some."""
    cache.clear()
    monkeypatch.setattr(attachments, "_folder", lambda: tmp_path / "attachments")
    return tmp_path / "attachments"


def picture(shape: str = "JPEG", size: tuple[int, int] = (8, 6)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, shape)
    return out.getvalue()


def photograph() -> bytes:
    """A picture that says where and with what it was taken, and stands on its side."""
    exif = Image.Exif()
    exif[0x0110] = "Spycam 3"
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    out = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(out, "JPEG", exif=exif, comment=b"my house")
    return out.getvalue() + HTML


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def send(member: Member, *files: Sent) -> Ticket:
    return tickets.ask(
        member=member, subject="a", text="b", files=files, now=timezone.now()
    )


def file_of(ticket: Ticket) -> Attachment:
    found: Attachment = Attachment.objects.get(comment__ticket=ticket)
    return found


def path_of(ticket: Ticket) -> str:
    return f"/account/tickets/{ticket.number}/files/{file_of(ticket).pk}"


def browser_of(member: Member) -> Client:
    browser = Client()
    browser.force_login(member)
    return browser


CORPUS = {
    "nothing": Sent("a.png", b""),
    "html as jpg": Sent("a.jpg", HTML),
    "svg": Sent("a.svg", SVG),
    "svg as png": Sent("a.png", SVG),
    "gif": Sent("a.gif", picture("GIF")),
    "gif with a script": Sent("a.gif", b"GIF89a/*" + HTML + b"*/=1;"),
    "png as jpg": Sent("a.jpg", picture("PNG")),
    "jpg as pdf": Sent("a.pdf", picture()),
    "pdf as png": Sent("a.png", PDF),
    "pdf without an end": Sent("a.pdf", b"%PDF-1.4\n" + HTML),
    "half a picture": Sent("a.jpg", picture(size=(200, 200))[:400]),
    "magic alone": Sent("a.png", b"\x89PNG\r\n\x1a\n"),
    "zip": Sent("a.zip", b"PK\x03\x04"),
    "no name": Sent("", picture()),
    "two names": Sent("a.jpg.exe", picture()),
    "a name cut by nul": Sent("a.exe\0.jpg", b"MZ"),
}
TOO_LARGE = {
    "30,000 pixels": Sent("a.png", bomb(30_000, 30_000)),
    "more than anybody counts": Sent("a.png", bomb(2**31 - 1, 2**31 - 1)),
    "just over the cap": Sent("a.png", bomb(8_000, 5_001)),
    "a little too many bytes": Sent("a.pdf", b"%PDF-" + b"a" * attachments.BYTES_MAX),
}


@pytest.mark.promise("S-61", "S-77")
@pytest.mark.parametrize("sent", CORPUS.values(), ids=CORPUS.keys())
def test_it_refuses_what_is_not_what_it_says(
    alice: Member, folder: Path, sent: Sent
) -> None:
    before = rows.dump()

    with pytest.raises(BadFile):
        send(alice, Sent("good.jpg", picture()), sent)

    assert rows.dump() == before
    assert not folder.exists()


@pytest.mark.promise("S-61", "S-76")
@pytest.mark.parametrize("sent", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_it_refuses_what_is_too_large(alice: Member, sent: Sent) -> None:
    with pytest.raises(FileTooLarge):
        send(alice, sent)

    assert not Ticket.objects.exists()


def test_it_takes_files_only_from_who_can_be_written_to(alice: Member) -> None:
    Member.objects.filter(pk=alice.pk).update(activated_at=None)
    stranger = Member.objects.get(pk=alice.pk)

    with pytest.raises(AddressNotConfirmed):
        send(stranger, Sent("a.jpg", picture()))

    assert send(stranger).member == stranger


@pytest.mark.promise("S-76")
def test_nobody_waits_for_the_darkroom(alice: Member) -> None:
    with pictures._AT_ONCE, pictures._AT_ONCE, pytest.raises(pictures.DarkroomBusy):
        send(alice, Sent("a.jpg", picture()))

    send(alice, Sent("a.jpg", picture()))
    assert Attachment.objects.count() == 1


def test_it_refuses_a_fourth_file(alice: Member) -> None:
    with pytest.raises(TooManyFiles):
        send(alice, *[Sent("a.jpg", picture())] * 4)


@pytest.mark.promise("S-62")
def test_it_writes_pictures_anew(alice: Member) -> None:
    content = attachments.content_of(file_of(send(alice, Sent("a.jpg", photograph()))))

    with Image.open(io.BytesIO(content)) as seen:
        assert (seen.format, seen.size) == ("JPEG", (6, 8))
        assert not seen.getexif()
        assert "comment" not in seen.info
    assert all(word not in content for word in (b"Spycam", b"my house", b"script"))


@pytest.mark.promise("S-62")
def test_it_drops_what_a_png_says_beside_its_pixels(alice: Member) -> None:
    out, said = io.BytesIO(), PngImagePlugin.PngInfo()
    said.add_text("Comment", "<?php system('id') ?>")
    Image.new("P", (8, 6)).save(out, "PNG", pnginfo=said)

    content = attachments.content_of(
        file_of(send(alice, Sent("a.png", out.getvalue())))
    )

    assert content.startswith(b"\xff\xd8\xff")
    assert b"php" not in content


@pytest.mark.promise("S-63", "S-64")
def test_it_keeps_files_sealed_under_names_of_our_own(
    alice: Member, folder: Path
) -> None:
    ticket = send(alice, Sent("../../etc/passport.pdf", PDF))

    (stored,) = folder.iterdir()
    attachment = file_of(ticket)
    assert "passport" not in stored.name
    assert b"PDF" not in stored.read_bytes()
    assert folder.stat().st_mode & 0o077 == 0
    assert attachment.name == "passport.pdf"
    assert attachments.content_of(attachment) == PDF


@pytest.mark.promise("S-64")
def test_it_opens_nothing_under_another_name(alice: Member, folder: Path) -> None:
    ticket = send(alice, Sent("a.pdf", PDF), Sent("b.pdf", PDF + b"%%EOF"))
    one, other = folder.iterdir()
    one.write_bytes(other.read_bytes())
    first = Attachment.objects.get(comment__ticket=ticket, stored_as=one.name)

    with pytest.raises(Exception, match="does not open"):
        attachments.content_of(first)


@pytest.mark.promise("S-63")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.pdf", 'attachment; filename="a.pdf"'),
        ('a"; x=".pdf', 'attachment; filename="a__ x__.pdf"'),
        ("a\r\nSet-Cookie: b.pdf", 'attachment; filename="a__Set-Cookie_ b.pdf"'),
        ("护照.pdf", "attachment; filename*=utf-8''%E6%8A%A4%E7%85%A7.pdf"),
        ("a\u202efdp\u3164.pdf", 'attachment; filename="a_fdp.pdf"'),
        ("a" * 300 + ".pdf", f'attachment; filename="{"a" * 96}.pdf"'),
    ],
)
def test_it_hands_files_out_as_downloads_only(
    alice: Member, name: str, shown: str
) -> None:
    ticket = send(alice, Sent(name, PDF))

    answer = browser_of(alice).get(path_of(ticket))

    assert answer.content == PDF
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == shown
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.promise("S-69", "S-63")
def test_it_hands_files_to_nobody_else(
    alice: Member, mallory: Member, olive: Member
) -> None:
    hers, theirs = send(alice, Sent("a.pdf", PDF)), send(mallory)
    foreign = f"/account/tickets/{theirs.number}/files/{file_of(hers).pk}"

    for who in (mallory, olive):
        browser = browser_of(who)
        assert browser.get(path_of(hers)).status_code == 404
        assert browser.get(foreign).status_code == 404
    assert Client().get(path_of(hers)).status_code == 302


def test_it_hides_what_came_with_a_note(alice: Member) -> None:
    ticket = send(alice, Sent("a.pdf", PDF))
    rows.plant("UPDATE accounts_comment SET is_note = true, is_operator = true")

    assert browser_of(alice).get(path_of(ticket)).status_code == 404


@pytest.mark.promise("S-65")
def test_an_operator_looks_on_the_record(alice: Member) -> None:
    ticket = send(alice, Sent("a.pdf", PDF))
    page = f"/admin/accounts/ticket/attachments/{file_of(ticket).pk}"
    rita, quinn = make_member("rita"), make_member("quinn")
    for member, role in ((rita, Role.SUPPORT), (quinn, Role.FINANCE)):
        roles.grant(member=member, role=role, by="operator:0", reason="a test")

    answers = []
    for member in (rita, quinn):
        browser = browser_of(member)
        answers.append(browser.get(page).status_code)
        prove(browser, member)
        answers.append(browser.get(page).status_code)

    assert answers == [302, 200, 302, 403]
    look = AuditRecord.objects.get(action="looked_at")
    assert look.actor == f"operator:{rita.pk}"


@pytest.mark.promise("S-61")
def test_a_member_sends_files_with_their_words(alice: Member) -> None:
    browser = browser_of(alice)

    browser.post(
        "/account/tickets/new",
        {
            "subject": "a",
            "text": "b",
            "attachments": [
                SimpleUploadedFile("one.jpg", picture(), "text/html"),
                SimpleUploadedFile("two.pdf", PDF),
            ],
        },
    )

    ticket = Ticket.objects.get()
    page = browser.get(f"/account/tickets/{ticket.number}").content.decode()
    assert "one.jpg" in page
    assert "two.pdf" in page
    assert [each.kind for each in Attachment.objects.order_by("pk")] == [
        *("image/jpeg", "application/pdf"),
    ]


def test_a_member_is_told_what_is_wrong_with_a_file(alice: Member) -> None:
    form = {"text": "b", "attachments": SimpleUploadedFile("a.png", HTML)}
    ticket = send(alice)

    answer = browser_of(alice).post(f"/account/tickets/{ticket.number}", form)

    assert answer.status_code == 400
    assert b"Please send pictures" in answer.content
    assert Comment.objects.count() == 1


@pytest.mark.promise("S-61")
def test_it_does_not_even_read_what_is_far_too_large(
    alice: Member, settings: Settings
) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 10_000
    form = {"text": "b", "attachments": SimpleUploadedFile("a.pdf", b"a" * 10_001)}

    answer = browser_of(alice).post("/account/tickets/new", form)

    assert answer.status_code == 400
    assert not Ticket.objects.exists()


def test_it_leaves_nothing_of_a_deed_that_failed(
    alice: Member, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.tickets._tell_support", lambda _ticket: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        send(alice, Sent("a.pdf", PDF))

    assert list(folder.iterdir()) == []
    assert not Ticket.objects.exists()
