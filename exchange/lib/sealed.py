"""
Encryption at rest, for what must be readable again: secrets of keys and factors, mail
that waits, documents. And the keys with which the exchange signs.

AES-GCM under a key derived from PIXIU_MASTER_KEY for one purpose each, so that what is
sealed for one cannot be opened as another. What is sealed is bound to a name (the row
it belongs to): moved elsewhere, it does not open.
"""

from __future__ import annotations

import hmac
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from exchange.lib.errors import BrokenPromise

_NONCE_BYTES = 12


def seal(plain: bytes, *, purpose: str, bound_to: str) -> bytes:
    """Return `plain` encrypted: nonce, then ciphertext with its tag."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(purpose).encrypt(nonce, plain, bound_to.encode())


def unseal(sealed: bytes, *, purpose: str, bound_to: str) -> bytes:
    """
    Return what was sealed. Raises BrokenPromise where it does not open: the master key
    is another one, or the row was tampered with.
    """
    nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return _cipher(purpose).decrypt(nonce, rest, bound_to.encode())
    except InvalidTag as error:
        raise BrokenPromise(
            f"What was sealed for {purpose} of {bound_to[:8]}… does not open:"
            " PIXIU_MASTER_KEY is not the one it was sealed under, or the row was"
            " tampered with."
        ) from error


def fingerprint(plain: bytes, *, purpose: str) -> str:
    """
    Return a keyed digest: it tells whether two are equal, and without the master key
    not even a short secret can be guessed from it.
    """
    key = _derive(settings.PIXIU_MASTER_KEY, f"fingerprint of {purpose}")
    return hmac.new(key, plain, "sha256").hexdigest()


def signing_key(*, purpose: str) -> Ed25519PrivateKey:
    """Return the key with which the exchange signs what it publishes for a purpose."""
    seed = _derive(settings.PIXIU_MASTER_KEY, f"signatures of {purpose}")
    return Ed25519PrivateKey.from_private_bytes(seed)


def _cipher(purpose: str) -> AESGCM:
    return _cipher_under(settings.PIXIU_MASTER_KEY, purpose)


@lru_cache(maxsize=32)
def _cipher_under(master_key: str, purpose: str) -> AESGCM:
    return AESGCM(_derive(master_key, purpose))


def _derive(master_key: str, purpose: str) -> bytes:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose.encode())
    return kdf.derive(master_key.encode())
