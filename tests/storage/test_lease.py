"""One holder at a time, whatever dies, stalls, or has a wrong clock."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from faults import Fault, FaultProxy
from programs import Program
from s3_place import S3Place

from facefx.errors import LeaseHeldError, UsageError
from facefx.storage import Lease, Store
from facefx.storage.lease import Holder

HOLD = """
import sys
from facefx.storage import Lease, StorageOptions, Store
url, endpoint = sys.argv[1:]
with Lease(Store(url, StorageOptions(endpoint_url=endpoint or None)), "lease.json", "run 1", 30):
    print("held", flush=True)
    input()
print("given back", flush=True)
"""


@pytest.fixture(params=["disk", "s3"])
def shared(request: pytest.FixtureRequest, tmp_path: Any) -> Store:
    """A store that other processes reach too."""
    if request.param == "disk":
        return Store(str(tmp_path / "dst"))
    place: S3Place = request.getfixturevalue("s3")
    return Store(f"{place.url}/dst", place.options())


def elsewhere(ttl_s: float, **more: Any) -> Holder:
    """A holder on another machine, whose clock is an hour off."""
    mine = Holder.myself("run 9", ttl_s)
    return replace(mine, host="far", machine="another boot", since_s=time.time() + 3600, **more)


def place(store: Store, holder: Holder, number: int = 1) -> None:
    store.write(f"lease.json.{number:08d}", json.dumps(asdict(holder)).encode())


def test_a_second_run_is_told_who_holds_it(shared: Store, program: Callable[..., Program]) -> None:
    other = program(HOLD, shared.url, shared.options.endpoint_url or "")
    assert other.said() == "held"
    started = time.monotonic()
    with pytest.raises(
        LeaseHeldError, match=rf"held by run 1 on \S+, process {other.process.pid}, for about \d+ s; wait"
    ):
        Lease(shared, "lease.json", "run 2", 30).acquire()
    assert time.monotonic() - started < 5, "a process that lives here is not watched for its ttl"
    other.go_on()
    assert other.said() == "given back"
    with Lease(shared, "lease.json", "run 2", 30) as lease:
        lease.check()


def test_a_killed_holder_on_this_machine_is_succeeded_at_once(
    shared: Store, program: Callable[..., Program]
) -> None:
    other = program(HOLD, shared.url, shared.options.endpoint_url or "")
    assert other.said() == "held"
    other.kill()
    started = time.monotonic()
    with Lease(shared, "lease.json", "run 2", 30):
        assert time.monotonic() - started < 10


def test_a_silent_holder_elsewhere_is_succeeded_after_its_ttl(shared: Store) -> None:
    place(shared, elsewhere(0.5))
    started = time.monotonic()
    with Lease(shared, "lease.json", "run 2", 0.5):
        assert time.monotonic() - started >= 0.5


def test_a_holder_elsewhere_that_counts_is_alive_whatever_its_clock(shared: Store) -> None:
    place(shared, elsewhere(20))
    stop = threading.Event()

    def count() -> None:
        number = 0
        while not stop.wait(0.05):
            number += 1
            place(shared, elsewhere(20, count=number))

    thread = threading.Thread(target=count)
    thread.start()
    started = time.monotonic()
    try:
        with pytest.raises(LeaseHeldError, match="held by run 9 on far"):
            Lease(shared, "lease.json", "run 2", 20).acquire()
    finally:
        stop.set()
        thread.join()
    assert time.monotonic() - started < 10, "one step of its count is enough"


def test_another_space_of_processes_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two containers on one host may both have a process 7, and only one of them the lease."""
    here = Holder.myself("run 1", 60)
    assert here.is_here()
    assert not here.is_gone()
    assert replace(here, pid=2**22 + 1).is_gone()
    assert replace(here, started="1").is_gone(), "its number went to another process"
    assert not replace(here, machine="another", pid=2**22 + 1).is_gone()
    monkeypatch.setattr("facefx.storage.lease._machine", lambda: "")
    assert not Holder.myself("run 1", 60).is_here(), "where that cannot be known, nobody is taken for dead"


def test_of_many_that_want_a_dead_lease_one_gets_it(shared: Store) -> None:
    place(shared, replace(Holder.myself("run 1", 60), pid=2**22 + 1))
    leases = [Lease(shared, "lease.json", f"run {number}", 60) for number in range(4)]
    start, held = threading.Barrier(4), []

    def race(lease: Lease) -> None:
        start.wait()
        try:
            lease.acquire()
        except LeaseHeldError:
            return
        held.append(lease)

    threads = [threading.Thread(target=race, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 1
    held[0].renew()
    assert not held[0].lost.is_set()
    held[0].release()


def test_a_holder_that_was_succeeded_knows_and_writes_no_more(shared: Store) -> None:
    """As after a long pause of the whole machine."""
    lease = Lease(shared, "lease.json", "run 1", 0.6)
    lease.acquire()
    place(shared, elsewhere(60), number=2)
    assert lease.lost.wait(10), "its own thread has seen it"
    with pytest.raises(LeaseHeldError, match="lost its hold"):
        lease.check()
    lease.release()
    (left,) = [json.loads(shared.read(entry.rel)) for entry in shared.list() if entry.rel.endswith("2")]
    assert left["owner"] == "run 9"
    assert not left["released"]


def test_a_late_taker_does_not_get_a_number_that_was_passed(shared: Store) -> None:
    """It saw number 1 dead, and slept while 2 and 3 were taken and the old ones removed."""
    place(shared, elsewhere(60), number=3)
    late = Lease(shared, "lease.json", "late", 60)
    assert not late._take(2)
    assert [entry.rel for entry in shared.list()] == ["lease.json.00000003"]


def test_a_holder_that_cannot_renew_gives_up_before_others_take_over(
    s3: S3Place, fault_proxy: FaultProxy
) -> None:
    store = Store(s3.url, s3.options(fault_proxy.url))
    with Lease(store, "lease.json", "run 1", 1.5) as lease:
        began = time.monotonic()
        fault_proxy.add(Fault.STALL)
        assert lease.lost.wait(10)
        assert time.monotonic() - began <= 1.6


def test_a_renewal_that_fails_now_and_then_is_no_loss(s3: S3Place, fault_proxy: FaultProxy) -> None:
    store = Store(s3.url, s3.options(fault_proxy.url))
    with Lease(store, "lease.json", "run 1", 3) as lease:
        fault_proxy.add(Fault.ERROR_503, nth=range(1, 3))
        before = fault_proxy.count("PUT .*lease.json.00000001")
        deadline = time.monotonic() + 20
        while fault_proxy.count("PUT .*lease.json.00000001") < before + 1 and time.monotonic() < deadline:
            assert not lease.lost.wait(0.05)
        assert fault_proxy.done[Fault.ERROR_503] == 2


def test_an_error_in_the_block_gives_the_lease_back(shared: Store) -> None:
    with pytest.raises(UsageError), Lease(shared, "lease.json", "run 1", 60):
        raise UsageError
    with Lease(shared, "lease.json", "run 2", 60):
        pass
    assert len(list(shared.list())) == 1, "what is left does not grow"


def test_what_is_no_lease_is_not_overwritten(shared: Store) -> None:
    shared.write("lease.json.00000001", b"{}")
    with pytest.raises(LeaseHeldError, match="is no lease of this version"):
        Lease(shared, "lease.json", "run 1", 60).acquire()
