"""Two payload codecs without I/O: `Compress`, and `Chain` of several.

What they write starts with a mark that begins with a zero byte, which JSON never does; data without the mark was left as
it is and is passed through. Data that happens to carry the mark is coded whatever its size, so it cannot be mistaken.
This module must never give out more bytes than its limit allows: stored data may be made to explode.
"""

from __future__ import annotations

import zlib
from typing import Final

from perdure.codec.payload import PayloadCodec
from perdure.errors import ConfigurationError, PayloadTooLargeError

MIB: Final = 1 << 20
COMPRESSED: Final = b"\x00pz1"


class Compress:
    """zlib for payloads of more than `above` bytes, at `level` (0 to 9); smaller or incompressible ones stay readable.

    Raises `ConfigurationError` for a wrong option, `PayloadTooLargeError` when data to encode is larger than `limit` bytes
    (64 MiB), and `ValueError` when stored data is damaged or would unpack to more than that.
    """

    def __init__(self, level: int = 6, above: int = 1024, *, limit: int = 64 * MIB) -> None:
        if not 0 <= level <= 9:
            raise ConfigurationError(f"Compress level is {level!r}; it must be from 0 to 9")
        if above < 0 or limit < 1:
            raise ConfigurationError("Compress above and limit are numbers of bytes, 0 and 1 at least")
        self._level, self._above, self._limit = level, above, limit

    def encode(self, data: bytes) -> bytes:
        marked = data.startswith(COMPRESSED)
        if len(data) <= self._above and not marked:
            return data
        if len(data) > self._limit:
            raise PayloadTooLargeError(f"a payload of {len(data)} bytes is larger than Compress limit, {self._limit}")
        packed = COMPRESSED + zlib.compress(data, self._level)
        return packed if marked or len(packed) < len(data) else data

    def decode(self, data: bytes) -> bytes:
        if not data.startswith(COMPRESSED):
            return data
        unpacker = zlib.decompressobj()
        try:
            plain = unpacker.decompress(data[len(COMPRESSED) :], self._limit + 1)
        except zlib.error as error:
            raise ValueError(f"compressed data is damaged: {error}") from error
        if len(plain) > self._limit:
            raise ValueError(f"compressed data unpacks to more than {self._limit} bytes")
        if not unpacker.eof or unpacker.unused_data:
            raise ValueError("compressed data is damaged: its end is missing or followed by something")
        return plain


class Chain:
    """Several payload codecs one after the other; decoding runs backwards. `Chain(Compress(), Encrypt(…))`: compress first,
    as what is encrypted does not compress. Raises `ConfigurationError` without a codec."""

    def __init__(self, *codecs: PayloadCodec) -> None:
        if not codecs:
            raise ConfigurationError("Chain needs at least one payload codec")
        self._codecs = codecs

    def encode(self, data: bytes) -> bytes:
        for codec in self._codecs:
            data = codec.encode(data)
        return data

    def decode(self, data: bytes) -> bytes:
        for codec in reversed(self._codecs):
            data = codec.decode(data)
        return data
