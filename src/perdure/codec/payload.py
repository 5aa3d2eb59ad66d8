"""What happens to a text between the codec and the storage: nothing, or a payload codec of the user's.

With a payload codec the stored text is `{"$codec": "encrypt", "data": "<base64>"}`, JSON still, so that databases, people
and pages can tell what it is. Text stored before the codec was added is passed through, and so is text that the codec left
as it is (too small to compress). A user's own value of exactly that form is wrapped as `{"$codec": "plain", "data": …}`
and cannot be mistaken. This module must never look into a payload, and never decide by content which codec to run: the
configured one decodes, the name is for people.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Final, Protocol

import msgspec

from perdure.codec.problems import DecodeError
from perdure.errors import ConfigurationError

MARK: Final = '"$codec"'
PLAIN: Final = "plain"


class PayloadCodec(Protocol):
    """Bytes to bytes, both ways, synchronous and from any thread. `decode(encode(data)) == data`; `encode` may return
    `data` itself to leave it readable. `decode` raises `ValueError` for bytes that it did not write."""

    def encode(self, data: bytes) -> bytes: ...

    def decode(self, data: bytes) -> bytes: ...


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """The stored form. `data` is base64 text, or for `plain` the user's JSON."""

    codec: str = msgspec.field(name="$codec")
    data: msgspec.Raw


_decode = msgspec.json.Decoder(Envelope).decode


class Payloads:
    """Wraps texts on their way into a storage and unwraps them on the way out. `None` is no codec."""

    def __init__(self, codec: PayloadCodec | None = None) -> None:
        self._codec = codec
        self.name = PLAIN if codec is None else type(codec).__name__.lower()

    def wrap(self, text: str) -> str:
        """The text to store. Raises what the codec's `encode` raises."""
        if self._codec is not None:
            data = text.encode()
            coded = self._codec.encode(data)
            if coded != data:
                return _enveloped(self.name, f'"{b64encode(coded).decode()}"')
        return _enveloped(PLAIN, text) if _envelope_of(text) else text

    def unwrap(self, text: str) -> str:
        """The text that was wrapped. Raises `ConfigurationError` when it needs a codec and none is configured, and
        `DecodeError` when the configured one cannot read it."""
        envelope = _envelope_of(text)
        if envelope is None:
            return text
        if envelope.codec == PLAIN:
            return bytes(envelope.data).decode()
        if self._codec is None:
            raise ConfigurationError(
                f"a stored value was written with the payload codec {envelope.codec!r}, and this app has none; "
                "pass it as Perdure(codec=…)"
            )
        return self._decoded(self._codec, envelope)

    def _decoded(self, codec: PayloadCodec, envelope: Envelope) -> str:
        try:
            return codec.decode(b64decode(msgspec.json.decode(envelope.data, type=str), validate=True)).decode()
        except (ValueError, OSError) as error:
            raise DecodeError(
                f"the payload codec {self.name!r} cannot read a stored value written by {envelope.codec!r}: {error}"
            ) from error


def _enveloped(name: str, data: str) -> str:
    return f'{{{MARK}:"{name}","data":{data}}}'


def _envelope_of(text: str) -> Envelope | None:
    if MARK not in text:
        return None
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        return None
