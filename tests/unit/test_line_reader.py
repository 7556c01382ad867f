"""Lines out of bytes, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from routing.process.line_reader import LineReader, OutputLine


def _lines(chunks: list[bytes], cap: int) -> list[OutputLine]:
    lines: list[OutputLine] = []
    reader = LineReader(lines.append, cap=cap)
    for chunk in chunks:
        reader.write(chunk)
    reader.finish()
    return lines


@given(st.lists(st.text(alphabet="ab\n").map(str.encode), max_size=20))
def test_cuts_between_reads_make_no_difference(chunks: list[bytes]) -> None:
    """The same bytes give the same lines, however they arrive."""
    expected = b"".join(chunks).split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert [line.data for line in _lines(chunks, 1000)] == expected


@given(st.lists(st.text(alphabet="ab\n").map(str.encode), max_size=20), st.integers(1, 5))
def test_every_byte_is_kept_or_counted(chunks: list[bytes], cap: int) -> None:
    """What is over the cap is dropped and counted, line by line."""
    for line, whole in zip(_lines(chunks, cap), b"".join(chunks).split(b"\n"), strict=False):
        assert line.data == whole[:cap]
        assert line.skipped == max(0, len(whole) - cap)


def test_windows_line_ends_are_taken_off() -> None:
    """A carriage return before the newline is not a part of the line."""
    assert _lines([b"a\r", b"\nb\r\n"], 10) == [OutputLine(b"a", 0), OutputLine(b"b", 0)]
