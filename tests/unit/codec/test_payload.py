"""What is wrapped comes back; plain rows stay readable; damage, wrong keys and bombs are errors with words."""

import base64
import hashlib
import os
import stat
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.codec import Chain, Compress, DecodeError, Encrypt, Offload, PayloadCodec, Payloads
from perdure.errors import ConfigurationError, PayloadTooLargeError

KEYS = {"2025": b"\x01" * 32, "2026": b"\x02" * 32}
LONG = '{"a":"' + "x" * 5000 + '"}'
JSON = st.recursive(
    st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["$codec", "data", "x"]), inner),
).map(lambda value: msgspec.json.encode(value).decode())
LOOKALIKES = [
    '{"$codec":"encrypt","data":"x"}',
    '{"data":[1,{"a":2}],"$codec":"plain"}',
    '{ "$codec" : "plain" , "data" : {"$codec":"plain","data":1} }',
]


class Reverse:
    """A user's own codec."""

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


def wrapped(codec: PayloadCodec | None, text: str) -> str:
    payloads = Payloads(codec)
    stored = payloads.wrap(text)
    assert payloads.unwrap(stored) == text
    msgspec.json.decode(stored)
    return stored


@given(JSON)
def test_every_text_comes_back_whatever_the_codec(text: str) -> None:
    for codec in (None, Reverse(), Compress(above=0), Compress(), Chain(Compress(above=0), Encrypt(KEYS, "2026"))):
        stored = wrapped(codec, text)
        if stored == text:
            assert Payloads(None).unwrap(stored) == text


def test_without_a_codec_text_is_stored_as_it_is() -> None:
    assert wrapped(None, LONG) == LONG
    assert wrapped(None, '"$codec"') == '"$codec"'
    assert wrapped(None, '{"$codec":1,"data":2}') == '{"$codec":1,"data":2}'
    assert wrapped(None, '{"$codec":"a","data":2,"more":3}') == '{"$codec":"a","data":2,"more":3}'


@pytest.mark.parametrize("text", LOOKALIKES)
def test_a_users_own_value_of_the_stored_form_survives(text: str) -> None:
    stored = wrapped(None, text)
    assert stored == '{"$codec":"plain","data":' + text + "}"
    assert wrapped(None, stored) != stored
    assert Payloads(Reverse()).unwrap(stored) == text
    assert Payloads(Compress()).unwrap(Payloads(Compress()).wrap(text)) == text


def test_the_stored_form_names_the_codec() -> None:
    stored = msgspec.json.decode(wrapped(Reverse(), "[1,2]"))
    assert stored == {"$codec": "reverse", "data": base64.b64encode(b"]2,1[").decode()}


def test_rows_from_before_the_codec_stay_readable() -> None:
    for text in (LONG, "null", *(Payloads(None).wrap(text) for text in LOOKALIKES)):
        assert Payloads(Encrypt(KEYS, "2026")).unwrap(text) == Payloads(None).unwrap(text)


def test_a_coded_row_without_a_codec_is_a_configuration_error() -> None:
    stored = Payloads(Compress()).wrap(LONG)
    with pytest.raises(ConfigurationError, match=r"'compress'.*Perdure\(codec=…\)"):
        Payloads(None).unwrap(stored)


@pytest.mark.parametrize("data", ['"*"', "1", '"x"', '"AHB6MQ=="', '"/w=="'])
def test_damaged_data_is_a_decode_error_naming_both_codecs(data: str) -> None:
    with pytest.raises(DecodeError, match="'compress' cannot read a stored value written by 'encrypt'"):
        Payloads(Compress()).unwrap(f'{{"$codec":"encrypt","data":{data}}}')


def test_small_payloads_stay_readable_under_compress() -> None:
    assert wrapped(Compress(), '{"a":1}') == '{"a":1}'
    assert len(wrapped(Compress(), LONG)) < 200


def test_what_does_not_shrink_is_left_alone() -> None:
    noise = hashlib.shake_256(b"seed").digest(4000)
    assert Compress().encode(noise) == noise


def test_data_that_carries_a_mark_is_never_mistaken(tmp_path: Path) -> None:
    for codec, mark in ((Compress(), b"\x00pz1"), (Offload(tmp_path), b"\x00po1")):
        for data in (mark, mark + b"x" * 10):
            coded = codec.encode(data)
            assert coded != data
            assert codec.decode(coded) == data
            assert codec.decode(codec.decode(codec.encode(coded))) == data


def test_bombs_are_bounded() -> None:
    bomb = b"\x00pz1" + zlib.compress(b"\0" * 10_000_000)
    with pytest.raises(ValueError, match="more than 1000000 bytes"):
        Compress(limit=1_000_000).decode(bomb)
    assert len(Compress(limit=10_000_000).decode(bomb)) == 10_000_000
    with pytest.raises(PayloadTooLargeError, match="Compress limit"):
        Compress(limit=100, above=10).encode(b"x" * 101)


def test_cut_or_extended_data_is_refused() -> None:
    coded = Compress().encode(LONG.encode())
    for damaged in (coded[:-1], coded + b"x", coded[:4], coded[:-2] + bytes([coded[-2] ^ 1]) + coded[-1:]):
        with pytest.raises(ValueError, match="damaged"):
            Compress().decode(damaged)


@pytest.mark.parametrize("options", [{"level": 10}, {"level": -1}, {"above": -1}, {"limit": 0}])
def test_wrong_options_of_compress_are_configuration_errors(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="Compress"):
        Compress(**options)


def test_a_chain_runs_in_order_and_back() -> None:
    class Mark:
        def __init__(self, mark: bytes) -> None:
            self.mark = mark

        def encode(self, data: bytes) -> bytes:
            return data + self.mark

        def decode(self, data: bytes) -> bytes:
            assert data.endswith(self.mark)
            return data.removesuffix(self.mark)

    chain = Chain(Mark(b"a"), Mark(b"b"))
    assert chain.encode(b"x") == b"xab"
    assert chain.decode(b"xab") == b"x"
    with pytest.raises(ConfigurationError, match="at least one"):
        Chain()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_large_payloads_become_files_named_by_their_content(tmp_path: Path) -> None:
    offload = Offload(tmp_path / "deep" / "payloads", above=100)
    assert offload.encode(b"x" * 100) == b"x" * 100
    coded = offload.encode(b"x" * 101)
    name = hashlib.blake2b(b"x" * 101, digest_size=32).hexdigest()
    assert coded == b"\x00po1" + name.encode()
    [file] = files(tmp_path)
    assert file == tmp_path / "deep" / "payloads" / name[:2] / name
    assert file.read_bytes() == b"x" * 101
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.stat()
    assert offload.encode(b"x" * 101) == coded
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert file.stat().st_ino == before.st_ino
    assert offload.decode(coded) == b"x" * 101
    assert len(wrapped(Offload(tmp_path, above=10), LONG)) < 200


def test_a_missing_changed_or_short_file_is_told(tmp_path: Path) -> None:
    offload = Offload(tmp_path, above=0)
    payloads = Payloads(offload)
    stored = payloads.wrap(LONG)
    [file] = files(tmp_path)
    file.write_bytes(LONG.encode().replace(b"x", b"y"))
    with pytest.raises(DecodeError, match="was changed"):
        payloads.unwrap(stored)
    file.write_bytes(b"short")
    assert payloads.wrap(LONG) == stored
    assert payloads.unwrap(stored) == LONG
    file.unlink()
    with pytest.raises(DecodeError, match="is missing"):
        payloads.unwrap(stored)


@pytest.mark.parametrize(
    "name",
    [b"", b"../../etc/passwd", b"/etc/passwd", b"A" * 64, b"a" * 63, b"a" * 65, b"a" * 63 + b"\n", b"a" * 64 + b"\n"],
)
def test_a_path_is_never_made_of_stored_data(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(ValueError, match="reference to an offloaded payload is damaged"):
        Offload(tmp_path).decode(b"\x00po1" + name)


def test_drafts_of_other_writers_are_stepped_over_and_none_is_left(tmp_path: Path) -> None:
    offload = Offload(tmp_path, above=0)
    name = hashlib.blake2b(b"x", digest_size=32).hexdigest()
    folder = tmp_path / name[:2]
    folder.mkdir()
    other = folder / f".{name}.{os.getpid()}-{threading.get_ident()}-0"
    other.write_bytes(b"of another host")
    offload.encode(b"x")
    assert files(tmp_path) == [other, folder / name]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Offload(tmp_path, above=0).encode(b"x")
    assert files(tmp_path) == []


def test_content_is_synced_before_it_is_named_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    sync = os.fsync

    def watch(descriptor: int) -> None:
        seen.append(len([path for path in files(tmp_path) if not path.name.startswith(".")]))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    Offload(tmp_path, above=0).encode(b"x")
    assert seen == [0, 1, 1, 1]


def test_where_folders_cannot_be_opened_they_are_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_DIRECTORY")
    offload = Offload(tmp_path, above=0)
    assert offload.decode(offload.encode(b"x")) == b"x"


def test_a_folder_above_that_may_not_be_read_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: object, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECTORY:
            raise PermissionError
        return real(path, flags, mode)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    offload = Offload(tmp_path, above=0)
    assert offload.decode(offload.encode(b"x")) == b"x"


def test_many_threads_may_write_the_same_payload(tmp_path: Path) -> None:
    offload = Offload(tmp_path, above=0)
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(offload.encode(b"x" * 10_000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1
    assert len(results) == 8
    assert len(files(tmp_path)) == 1


def test_a_wrong_option_of_offload_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Offload above"):
        Offload(tmp_path, above=-1)


def test_encrypted_data_shows_nothing_and_never_repeats() -> None:
    encrypt = Encrypt(KEYS, "2026")
    coded = [encrypt.encode(b"secret secret") for _ in range(200)]
    assert len(set(coded)) == 200
    assert all(b"secret" not in one and one.startswith(b"\x00pe1\x042026") for one in coded)
    assert {encrypt.decode(one) for one in coded} == {b"secret secret"}


def test_keys_can_be_changed() -> None:
    old = Encrypt({"2025": KEYS["2025"]}, "2025").encode(b"x")
    assert Encrypt(KEYS, "2026").decode(old) == b"x"
    with pytest.raises(ValueError, match="key '2025', which is not listed"):
        Encrypt({"2026": KEYS["2026"]}, "2026").decode(old)
    with pytest.raises(ValueError, match="changed, or the key '2025' is another one"):
        Encrypt({"2025": b"\x03" * 32}, "2025").decode(old)


def test_every_changed_byte_is_noticed() -> None:
    encrypt = Encrypt({**KEYS, "2024": KEYS["2026"]}, "2026")
    coded = encrypt.encode(b"hello")
    for place in range(len(coded)):
        with pytest.raises(ValueError):
            encrypt.decode(coded[:place] + bytes([coded[place] ^ 1]) + coded[place + 1 :])
        with pytest.raises(ValueError):
            encrypt.decode(coded[:place])
    with pytest.raises(ValueError):
        encrypt.decode(coded.replace(b"2026", b"2024"))


@pytest.mark.parametrize(
    ("keys", "current"),
    [
        ({}, "a"),
        ({"a": b"\0" * 32}, "b"),
        ({"a": b"\0" * 16}, "a"),
        ({"": b"\0" * 32}, ""),
        ({"a" * 256: b"\0" * 32}, "a" * 256),
    ],
)
def test_wrong_keys_are_configuration_errors_that_show_no_key(keys: dict[str, bytes], current: str) -> None:
    with pytest.raises(ConfigurationError, match="Encrypt") as caught:
        Encrypt(keys, current)
    assert "\\x00" not in str(caught.value)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigurationError, match="pip install cryptography"):
        Encrypt(KEYS, "2026")


def test_encrypt_does_not_import_its_library_before_it_is_made() -> None:
    code = "import sys, perdure.codec; assert 'cryptography' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_usual_chain_end_to_end(tmp_path: Path) -> None:
    codec = Chain(Compress(), Encrypt(KEYS, "2026"), Offload(tmp_path, above=100))
    stored = wrapped(codec, LONG)
    assert "xxx" not in stored
    assert Payloads(codec).unwrap('{"old":"row"}') == '{"old":"row"}'
