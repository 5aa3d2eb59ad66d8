"""`perdure worker --metrics-port`: what Prometheus reads, from one process and from several; and why it cannot."""

from __future__ import annotations

import signal
import socket
import urllib.error
import urllib.request

import pytest

from tests.system.conftest import Shell, until


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def read(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.URLError:
        return ""


def test_one_process(shell: Shell) -> None:
    port = free_port()
    worker = shell.start("worker", "--metrics-port", str(port), "--concurrency", "7")
    until(shell.workers)
    shell("enqueue", "steps", "count=2", "--wait")
    text = until(lambda: text if "perdure_executions_settled_total{" in (text := read(port)) else "")
    assert 'perdure_executions_settled_total{queue="default",status="completed",task="steps"} 1.0' in text
    assert 'perdure_activity_duration_seconds_count{activity="step",outcome="completed"} 2.0' in text
    assert "perdure_worker_slots_total 7.0" in text
    assert 'perdure_storage_operation_duration_seconds_bucket{le="+Inf",operation="commit"}' in text
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert read(port) == ""


def test_several_processes_take_a_port_each(shell: Shell) -> None:
    port = free_port()
    supervisor = shell.start("worker", "--processes", "2", "--metrics-port", str(port))
    until(lambda: all("perdure_worker_slots_total 100.0" in read(each) for each in (port, port + 1)))
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(30) == 0


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_port_that_is_taken(shell: Shell, processes: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = shell.start("worker", "--processes", processes, "--metrics-port", str(port))
        assert worker.wait(30) == 3
    assert f"metrics cannot be served at 127.0.0.1:{port}: " in shell.log
    assert "name another port" in shell.log
    assert "Traceback" not in shell.log


def test_ports_that_run_out(shell: Shell) -> None:
    assert shell.start("worker", "--processes", "3", "--metrics-port", "65534").wait(30) == 2
    assert "leaves no port for 3 processes" in shell.log
    assert shell.start("worker", "--metrics-port", "0").wait(30) == 2
    assert "0 is not in the range 1<=x<=65535" in shell.log


def test_a_missing_extra(shell: Shell) -> None:
    (shell.folder / "prometheus_client.py").write_text("raise ImportError('not installed')\n")
    path = f"{shell.folder}:{shell.environment['PYTHONPATH']}"
    assert shell.start("worker", "--metrics-port", "9001", PYTHONPATH=path).wait(30) == 3
    assert "metrics need prometheus-client" in shell.log
    assert "pip install 'perdure[prometheus]'" in shell.log
