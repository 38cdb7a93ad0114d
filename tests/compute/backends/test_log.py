"""The bounded log."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from albufera.compute.backends.log import BoundedLog


@given(chunks=st.lists(st.binary(max_size=40)), cap=st.integers(1, 100))
def test_the_head_is_kept_and_the_cut_is_said_once(chunks: list[bytes], cap: int) -> None:

    with tempfile.TemporaryDirectory() as folder:
        log = BoundedLog(Path(folder) / "log", cap)
        for chunk in chunks:
            log.write(chunk)
        log.close()
        kept = (Path(folder) / "log").read_bytes()
    whole = b"".join(chunks)
    assert log.truncated == (len(whole) > cap)
    assert kept[:cap] == whole[:cap]
    assert len(kept) <= cap + 100
    assert kept.count(b"[log truncated") == (1 if log.truncated else 0)
