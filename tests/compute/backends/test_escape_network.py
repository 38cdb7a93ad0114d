"""Ways out by the network: there are none, not even to the host itself."""

import os
import socket
import threading
from pathlib import Path

import pytest

from tests.compute.backends.laboratory import Laboratory

pytestmark = pytest.mark.sandbox
REFUSED = "EAFNOSUPPORT"


def _family(laboratory: Laboratory, family: int, kind: int) -> str:
    told = laboratory.python(f"tell(attempt(lambda: socket.socket({family}, {kind})))").told
    assert isinstance(told, str)
    return told


def test_a_tcp_socket_cannot_be_made(laboratory: Laboratory) -> None:
    assert _family(laboratory, socket.AF_INET, socket.SOCK_STREAM) == REFUSED


def test_a_udp_socket_cannot_be_made(laboratory: Laboratory) -> None:
    assert _family(laboratory, socket.AF_INET, socket.SOCK_DGRAM) == REFUSED


def test_an_ipv6_socket_cannot_be_made(laboratory: Laboratory) -> None:
    assert _family(laboratory, socket.AF_INET6, socket.SOCK_STREAM) == REFUSED


def test_a_raw_socket_cannot_be_made(laboratory: Laboratory) -> None:
    assert _family(laboratory, socket.AF_INET, socket.SOCK_RAW) == REFUSED


def test_a_netlink_socket_cannot_be_made(laboratory: Laboratory) -> None:
    assert _family(laboratory, socket.AF_NETLINK, socket.SOCK_RAW) == REFUSED


def test_a_vsock_socket_to_the_hypervisor_cannot_be_made(laboratory: Laboratory) -> None:
    assert _family(laboratory, socket.AF_VSOCK, socket.SOCK_STREAM) == REFUSED


def test_a_packet_socket_cannot_be_made(laboratory: Laboratory) -> None:
    assert _family(laboratory, socket.AF_PACKET, socket.SOCK_RAW) == REFUSED


def test_no_other_family_can_be_had(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        families = [n for n in range(64) if n != socket.AF_UNIX]
        tell({call('socket', n, kind, 0) for n in families for kind in (1, 2, 3, 5)}.__repr__())
        """
    ).told
    assert told == repr({REFUSED})


def test_a_family_hidden_behind_high_bits_is_refused(laboratory: Laboratory) -> None:
    told = laboratory.python(
        "tell(call('socket', ctypes.c_ulong(2 | 1 << 40), ctypes.c_ulong(1), ctypes.c_ulong(0)))"
    ).told
    assert told == REFUSED


def test_a_pair_of_internet_sockets_cannot_be_made(laboratory: Laboratory) -> None:
    told = laboratory.python("tell(attempt(lambda: socket.socketpair(socket.AF_INET)))").told
    assert told == REFUSED


def test_a_listener_on_the_hosts_loopback_is_out_of_reach(laboratory: Laboratory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        socket.create_connection(address, 5).close()  # it can be reached from outside
        told = laboratory.python(
            f"tell(attempt(lambda: socket.create_connection({address!r}, 2)))"
        ).told
    assert told == REFUSED


def test_an_abstract_unix_socket_of_the_host_is_out_of_reach(laboratory: Laboratory) -> None:
    name = f"\0albufera-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(name)
        server.listen()
        client.connect(name)
        told = laboratory.python(
            f"tell(attempt(lambda: socket.socket(socket.AF_UNIX).connect({name!r})))"
        ).told
    assert told == "ECONNREFUSED"


def test_a_unix_socket_in_the_hosts_tmp_is_out_of_reach(laboratory: Laboratory) -> None:
    path = Path(f"/tmp/albufera-{os.getpid()}.sock")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(path))
        server.listen()
        client.connect(str(path))
        try:
            told = laboratory.python(
                f"tell(attempt(lambda: socket.socket(socket.AF_UNIX).connect({str(path)!r})))"
            ).told
        finally:
            path.unlink()
    assert told == "ENOENT"


def test_names_are_not_resolved(laboratory: Laboratory) -> None:
    program = "tell(attempt(lambda: socket.getaddrinfo('example.org', 80)))"
    told = laboratory.python(program).told
    assert not told.startswith("did it")


def test_the_only_interface_is_an_empty_loopback(laboratory: Laboratory) -> None:
    told = laboratory.python("tell(open('/proc/net/dev').read().splitlines()[2:])").told
    assert [line.split(":")[0].strip() for line in told] == ["lo"]
    assert told[0].split()[1] == "0"


def test_the_hosts_connections_are_not_to_be_seen(laboratory: Laboratory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = f":{server.getsockname()[1]:04X}"
        assert port in Path("/proc/net/tcp").read_text()
        told = laboratory.python("tell(open('/proc/net/tcp').read())").told
    assert port not in told


def test_unix_sockets_among_the_runs_own_processes_work(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        left, right = socket.socketpair()
        left.sendall(b'hello')
        server = socket.socket(socket.AF_UNIX); server.bind('/tmp/own'); server.listen()
        socket.socket(socket.AF_UNIX).connect('/tmp/own')
        tell(right.recv(5).decode())
        """
    ).told
    assert told == "hello"


def test_io_uring_is_no_way_around_the_filter(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        tell([call(name, 8, ctypes.create_string_buffer(256), 0, 0)
              for name in ('io_uring_setup', 'io_uring_enter', 'io_uring_register')])
        """
    ).told
    assert told == ["ENOSYS"] * 3


def test_two_runs_cannot_meet_on_an_abstract_socket(laboratory: Laboratory) -> None:
    server = laboratory.launch(
        "python3",
        "-c",
        "import socket,time; s=socket.socket(socket.AF_UNIX); s.bind('\\0meet'); s.listen();"
        "print('listening'); time.sleep(20)",
    )
    handle = laboratory.runner.start(server)
    heard = threading.Event()
    while b"listening" not in laboratory.runner.logs(handle, 0, 100):
        heard.wait(0.01)
    told = laboratory.python(
        "tell(attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0meet')))"
    ).told
    laboratory.runner.stop(handle)
    laboratory.finish(handle)
    assert told == "ECONNREFUSED"
