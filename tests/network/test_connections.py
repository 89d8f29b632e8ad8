"""The addresses of a host name: which one is connected to, in what order, and for how long."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from image_mixer.network.connections import NotConnected, first_that_answers
from image_mixer.network.transport import Call, NoAnswer, NotSent, RequestsTransport
from image_mixer.tests.network.raw_server import OK, server


class Opener:
    """Opens the addresses in `alive`. Those in `silent` use all of their time. Others refuse, or are unreachable if IPv6.

    `now` is a clock that only silent addresses advance. `met` has each address that was tried, with its time limit.
    """

    def __init__(self, alive: tuple[str, ...] = (), silent: tuple[str, ...] = ()) -> None:
        self.alive, self.silent = alive, silent
        self.now = 0.0
        self.met: list[tuple[str, float]] = []

    def __call__(self, address: str, seconds: float) -> str:
        self.met.append((address, seconds))
        if address in self.silent:
            self.now += seconds
            raise TimeoutError
        if address in self.alive:
            return address
        raise OSError("unreachable") if ":" in address else ConnectionRefusedError


@pytest.mark.parametrize(
    ("alive", "silent", "met"),
    [
        (("::a", "1.1.1.1"), (), [("::a", 10.0)]),
        (("1.1.1.1",), (), [("::a", 10.0), ("::b", 10.0), ("1.1.1.1", 10.0)]),
        (("2.2.2.2",), ("::a", "::b"), [("::a", 10.0), ("::b", 10.0), ("1.1.1.1", 10.0), ("2.2.2.2", 10.0)]),
    ],
)
def test_every_address_is_tried_in_turn(
    alive: tuple[str, ...], silent: tuple[str, ...], met: list[tuple[str, float]]
) -> None:
    opener = Opener(alive, silent)
    assert first_that_answers(["::a", "::b", "1.1.1.1", "2.2.2.2"], opener, 10.0, lambda: 60.0) == alive[0]
    assert opener.met == met


def test_silent_addresses_leave_time_for_those_after_them() -> None:
    opener = Opener(("4.4.4.4",), silent=("1.1.1.1", "2.2.2.2", "3.3.3.3"))
    addresses = ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"]
    first_that_answers(addresses, opener, 10.0, lambda: 8.0 - opener.now)
    assert opener.met == [(address, 2.0) for address in addresses]


@pytest.mark.parametrize(
    ("addresses", "silent", "left", "reason", "offline"),
    [
        (["::a", "1.1.1.1", "2.2.2.2"], ("2.2.2.2",), 60.0, "refused", False),
        (["::a", "2.2.2.2"], ("2.2.2.2",), 60.0, "in time", True),
        (["::a", "::b"], (), 60.0, "network", True),
        (["1.1.1.1"], (), 0.0, "in time", True),
        ([], (), 60.0, "network", True),
    ],
)
def test_no_address_answers(
    addresses: list[str], silent: tuple[str, ...], left: float, reason: str, offline: bool
) -> None:
    with pytest.raises(NotConnected, match=reason) as caught:
        first_that_answers(addresses, Opener(silent=silent), 10.0, lambda: left)
    assert caught.value.offline == offline


@pytest.mark.parametrize("addresses", [("::1", "127.0.0.1"), ("127.0.0.1", "::1"), ("127.0.0.2", "::1", "127.0.0.1")])
@pytest.mark.parametrize("pinned", [True, False])
def test_the_address_that_listens_is_found(addresses: tuple[str, ...], pinned: bool) -> None:
    with server(lambda peer, _: peer.sendall(OK)) as (base, heard):
        url = base.replace("127.0.0.1", "many.example")
        call = Call("POST", url, b"{}", connect=0.5, addresses=addresses if pinned else ())
        assert RequestsTransport(lambda host, port: list(addresses))(call).body == b"ok"
        assert len(heard) == 1 and b"Host: many.example" in heard[0]


def test_nothing_is_sent_if_no_address_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NotSent, match="refused") as caught:
        RequestsTransport()(Call("POST", f"http://many.example:{port}", b"{}", addresses=("::1", "127.0.0.1")))
    assert not caught.value.offline


def test_the_next_address_is_not_asked_once_something_was_sent() -> None:
    with server(lambda peer, _: None) as (base, heard):
        call = Call("POST", base.replace("127.0.0.1", "many.example"), b"{}", addresses=("127.0.0.1", "127.0.0.1"))
        with pytest.raises(NoAnswer):
            RequestsTransport()(call)
        assert len(heard) == 1


def test_a_resolver_that_hangs_holds_no_call_longer_than_its_total() -> None:
    over = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        over.wait(30)
        return ["127.0.0.1"]

    began = time.monotonic()
    with pytest.raises(NotSent, match="not looked up in time") as caught:
        RequestsTransport(hang)(Call("POST", "http://slow.example", b"{}", 20.0, 20.0, 0.4))
    assert caught.value.offline and time.monotonic() - began < 10
    over.set()


def test_an_address_in_numbers_is_not_looked_up() -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was looked up")

    with server(lambda peer, _: peer.sendall(OK)) as (base, _):
        assert RequestsTransport(resolve)(Call("GET", base)).body == b"ok"
