"""Reading stored text imports nothing, opens nothing and runs nothing, whatever the text says."""

import subprocess
import sys

import pytest

WATCH = """
import sys, dataclasses, datetime, typing, traceback
import msgspec
from perdure.codec import DecodeError, Payloads, Compress, codec_for, decode_failure, exception_of
from perdure.errors import ConfigurationError, Failure

@dataclasses.dataclass
class Order:
    x: int
    at: datetime.datetime

codecs = [codec_for(hint, "x") for hint in (typing.Any, int, Order, list[Order], dict[str, typing.Any], Order | None)]
for module in {extra}:
    __import__(module)
if "pydantic" in sys.modules:
    import pydantic
    class Model(pydantic.BaseModel):
        x: int
        at: datetime.datetime
    codecs += [codec_for(Model, "x"), codec_for(list[Model], "x")]

hostile = [
    'null', '1', '"x"', '[]', '{{}}', '{{"x":1,"at":"2026-01-01T00:00:00Z"}}', '[{{"x":1,"at":"2026-01-01T00:00:00"}}]',
    '{{"$type":"os.system","value":"id"}}', '{{"$type":"datetime","value":"2026-01-01"}}',
    '{{"$type":"object","class":"subprocess.Popen","args":["id"]}}', '{{"py/object":"os.system"}}',
    '{{"__class__":"wave.Error","__module__":"wave"}}', '!!python/object/apply:os.system', '{{"$codec":"pickle","data":"gASV"}}',
]
failures = [
    Failure(type=name, module=module, args=("x",)) for module, name in [
        ("wave", "Error"), ("os", "system"), ("subprocess", "Popen"), ("antigravity", "x"), ("builtins", "eval"),
        ("perdure.errors", "GiveUp"), ("builtins", "ValueError"), ("importlib", "import_module"),
    ]
]

def read():
    for codec in codecs:
        for text in hostile:
            for verb in (codec.decode, codec.native):
                try: verb(text)
                except DecodeError: pass
    for text in hostile:
        for payloads in (Payloads(None), Payloads(Compress())):
            try: payloads.unwrap(text)
            except (DecodeError, ConfigurationError): pass
        try: decode_failure(text)
        except DecodeError: pass
    for failure in failures:
        exception_of(failure)

read()  # what the libraries themselves set up at first use is not the text's doing
loaded = set(sys.modules)
seen = []
FORBIDDEN = ("import", "exec", "compile", "open", "os.", "subprocess.", "socket.", "marshal.", "pickle.", "ctypes.")
sys.addaudithook(lambda event, arguments: seen.append((event, arguments)) if event.startswith(FORBIDDEN) else None)
read()
found = list(seen)
assert not found, found
assert set(sys.modules) == loaded
assert "wave" not in loaded and "antigravity" not in loaded
"""


@pytest.mark.parametrize("extra", [[], ["pydantic"]], ids=["msgspec", "pydantic"])
def test_reading_stored_text_imports_opens_and_runs_nothing(extra: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCH.format(extra=extra)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_first_reading_imports_no_module_either() -> None:
    code = WATCH.format(extra=[]).replace("\nread()  #", "\n#", 1)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_codec_knows_no_pickle() -> None:
    code = (
        "import sys, perdure.codec\n"
        "names = {'pickle', 'marshal', 'shelve', 'dill', 'cloudpickle'}\n"
        "used = [m for m in sys.modules.values() if getattr(m, '__name__', '').startswith('perdure.codec')]\n"
        "assert not [name for m in used for name in names if hasattr(m, name)]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
