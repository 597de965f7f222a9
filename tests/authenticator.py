"""
A passkey in software: answers challenges as browsers and hardware keys do (WebAuthn,
level 3), truthfully or, where a test says so, not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import encode_cbor

_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One key at one site."""

    origin: str
    rp_id: str = "localhost"
    counter: int = 1
    is_verifying: bool = True  # asks for a finger, a face or a PIN
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: str) -> str:
        """Answer navigator.credentials.create()."""
        asked = json.loads(options)
        point = self.key.public_key().public_numbers()
        public = encode_cbor(
            {
                1: 2,
                3: -7,
                -1: 1,
                -2: point.x.to_bytes(32, "big"),
                -3: point.y.to_bytes(32, "big"),
            }
        )
        data = self._data(_ATTESTED)
        data += bytes(16) + struct.pack(">H", len(self.id)) + self.id + public
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            clientDataJSON=self._client_data("webauthn.create", asked["challenge"]),
            attestationObject=attestation,
        )

    def get(self, options: str) -> str:
        """Answer navigator.credentials.get(); the counter moves, unless it is 0."""
        self.counter += bool(self.counter)
        asked = json.loads(options)
        client_data = self._client_data("webauthn.get", asked["challenge"])
        data = self._data()
        signed = data + hashlib.sha256(client_data).digest()
        return self._answer(
            clientDataJSON=client_data,
            authenticatorData=data,
            signature=self.key.sign(signed, ec.ECDSA(hashes.SHA256())),
        )

    def _data(self, flags: int = 0) -> bytes:
        flags |= _PRESENT | (_VERIFIED if self.is_verifying else 0)
        site = hashlib.sha256(self.rp_id.encode()).digest()
        return site + struct.pack(">BI", flags, self.counter)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        data = {"type": kind, "challenge": challenge, "origin": self.origin}
        return json.dumps(data).encode()

    def _answer(self, **response: bytes) -> str:
        answer: dict[str, Any] = {
            "id": _text(self.id),
            "rawId": _text(self.id),
            "type": "public-key",
            "response": {name: _text(value) for name, value in response.items()},
        }
        return json.dumps(answer)


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
