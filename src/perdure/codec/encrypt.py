"""`Encrypt`: payloads encrypted with AES-256-GCM, by keys with names.

New data is written with the current key; data of any key that is still listed can be read, so a key is changed by adding
one, making it current, and dropping the old one once nothing uses it. The key's name stands before the data in the clear
and is authenticated with it. A row is not bound to its place: whoever can write the database may put one encrypted value
where another was, and may store readable text in its place. This module must never write, log or show a key.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Final, Protocol, cast

from perdure.errors import ConfigurationError
from perdure.ids import random_bytes

ENCRYPTED: Final = b"\x00pe1"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
NAME_LIMIT: Final = 255


class Cipher(Protocol):
    """What is used of `cryptography`'s AESGCM."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class Encrypt:
    """AES-256-GCM with named keys of 32 bytes; `current` names the one for new data. Draw a key once with
    `os.urandom(32)` and keep it in a secret store. One key is good for some four billion payloads (random nonces).

    Raises `ConfigurationError` for a missing `cryptography` library or a wrong key or name, and `ValueError` when stored
    data was changed or its key is not listed.
    """

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        if current not in keys:
            raise ConfigurationError(f"Encrypt current is {current!r}; it must be one of {sorted(keys)}")
        for name, key in keys.items():
            if len(key) != KEY_BYTES or not 1 <= len(name.encode()) <= NAME_LIMIT:
                raise ConfigurationError(
                    f"Encrypt key {name[:40]!r} has {len(key)} bytes; a key has {KEY_BYTES}, its name 1 to {NAME_LIMIT}"
                )
        self._ciphers = {name: _cipher(key) for name, key in keys.items()}
        self._current = current
        name_bytes = current.encode()
        self._header = ENCRYPTED + bytes([len(name_bytes)]) + name_bytes

    def encode(self, data: bytes) -> bytes:
        nonce = random_bytes(NONCE_BYTES)
        return self._header + nonce + self._ciphers[self._current].encrypt(nonce, data, self._header)

    def decode(self, data: bytes) -> bytes:
        start = len(ENCRYPTED) + 1
        if not data.startswith(ENCRYPTED) or len(data) < start:
            raise ValueError("the data is not encrypted")
        end = start + data[start - 1]
        name = data[start:end].decode()
        if name not in self._ciphers:
            raise ValueError(f"the data is encrypted with the key {name!r}, which is not listed")
        nonce, coded = data[end : end + NONCE_BYTES], data[end + NONCE_BYTES :]
        try:
            return self._ciphers[name].decrypt(nonce, coded, data[:end])
        except Exception as error:  # cryptography's InvalidTag is no ValueError
            raise ValueError(f"the encrypted data was changed, or the key {name!r} is another one") from error


def _cipher(key: bytes) -> Cipher:
    try:
        aead = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
    except ModuleNotFoundError as error:
        raise ConfigurationError("Encrypt needs `pip install cryptography`") from error
    return cast("Cipher", aead.AESGCM(key))
