"""Values as JSON text and back, by type hints; keys of values; failures as records; what wraps a text on its way to disk.

    problems    DecodeError, and the wording of errors       parts       items and fields of values
    natural     values without a type, tagged JSON           hints       what a type hint mentions
    backends    natural JSON, msgspec, Pydantic              fit         was anything lost on the way?
    typed       codec_for, TypeCodec                         canonical   one text and one digest for equal values
    failures    exceptions as records                        payload     compress, encrypt, offload: transforms,
                                                                         encrypt, offload

Stored text is data: reading it never imports a module, calls a name or builds a class that no type hint declared, except
an exception class of a loaded module (`failures`). There is no pickle. The codec reads no clock, and only `Offload` does
input and output.
"""

from perdure.codec.backends import Backend
from perdure.codec.canonical import argument_digest, canonical, digest, same_canonical
from perdure.codec.encrypt import Encrypt
from perdure.codec.failures import (
    carried,
    decode_failure,
    encode_failure,
    exception_of,
    failure_of,
    keep_value,
    place_of,
)
from perdure.codec.offload import Offload
from perdure.codec.payload import PayloadCodec, Payloads
from perdure.codec.problems import DecodeError
from perdure.codec.transforms import Chain, Compress
from perdure.codec.typed import TypeCodec, codec_for

__all__ = [
    "Backend",
    "Chain",
    "Compress",
    "DecodeError",
    "Encrypt",
    "Offload",
    "PayloadCodec",
    "Payloads",
    "TypeCodec",
    "argument_digest",
    "canonical",
    "carried",
    "codec_for",
    "decode_failure",
    "digest",
    "encode_failure",
    "exception_of",
    "failure_of",
    "keep_value",
    "place_of",
    "same_canonical",
]
