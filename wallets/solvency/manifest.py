"""
The manifest: all roots of one snapshot, bound to the snapshot before, and signed.

It is canonical JSON (sorted keys, no blanks, ASCII), and what is hashed and signed is
that text itself. Each holds the hash of the one before, so that nobody can be shown
another history. The signature is Ed25519, by a key derived from PIXIU_MASTER_KEY.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exchange.lib import sealed
from wallets.solvency.strict import Unproven, keyed, parsed

FORMAT = "xpol2/manifest"
_KEY = "solvency manifests"


def canonical(what: Any) -> str:
    """Write JSON in the one form there is of it."""
    return json.dumps(what, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    """Return the hash by which the next manifest will name this one."""
    return hashlib.sha256(text.encode()).hexdigest()


def signed(text: str) -> str:
    """Return the envelope that is published: the manifest's text, key and signature."""
    key = sealed.signing_key(purpose=_KEY)
    return canonical(
        {
            "manifest": text,
            "public_key": key.public_key().public_bytes_raw().hex(),
            "signature": key.sign(text.encode()).hex(),
        }
    )


def opened(envelope: str | bytes) -> dict[str, Any]:
    """Return the manifest of an envelope whose signature holds. Raises Unproven."""
    shown = keyed(parsed(envelope), "manifest", "public_key", "signature")
    try:
        public_key = bytes.fromhex(shown["public_key"])
        signature = bytes.fromhex(shown["signature"])
        text = shown["manifest"].encode()
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except (InvalidSignature, ValueError, TypeError, AttributeError) as error:
        raise Unproven("The signature of the manifest does not hold.") from error
    manifest = parsed(text)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise Unproven("This is no manifest.")
    if canonical(manifest) != shown["manifest"]:
        raise Unproven("The manifest is not in its canonical form.")
    return manifest


def check_chain(envelopes: list[str]) -> None:
    """
    Check manifests from the first on: each signed by the key of the first, numbered
    without a gap, later than the one before and naming it. Raises Unproven.
    """
    previous, snapshot, keys = None, "", set()
    for number, envelope in enumerate(envelopes, 1):
        manifest = opened(envelope)
        if manifest["number"] != number or manifest["previous"] != previous:
            raise Unproven(f"Manifest {number} does not follow the one before it.")
        if not manifest["snapshot"] > snapshot:
            raise Unproven(f"Manifest {number} is not later than the one before it.")
        shown = parsed(envelope)
        keys.add(shown["public_key"])
        previous, snapshot = digest(shown["manifest"]), manifest["snapshot"]
    if len(keys) > 1:
        raise Unproven("The manifests are signed by more than one key.")
