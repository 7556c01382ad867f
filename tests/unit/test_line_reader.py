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
        assert line.ends == (line.skipped == 0)


def test_windows_line_ends_are_taken_off() -> None:
    """A carriage return before the newline is not a part of the line."""
    assert _lines([b"a\r", b"\nb\r\n"], 10) == [OutputLine(b"a", 0), OutputLine(b"b", 0)]


def _without_x(data: bytes) -> bytes:
    return data.replace(b"x", b"")


@given(st.lists(st.text(alphabet="axxxxxxx").map(str.encode), max_size=20))
def test_a_line_that_is_shortened_keeps_its_end(chunks: list[bytes]) -> None:
    """What is taken out of it is counted; where too little goes, the line is cut as before."""
    whole = b"".join(chunks)
    lines: list[OutputLine] = []
    reader = LineReader(lines.append, cap=10, shorten=_without_x)
    for chunk in chunks:
        reader.write(chunk)
    reader.finish()
    for line in lines:
        assert len(line.data) + line.skipped == len(whole)
        if line.ends:
            assert line.data.replace(b"x", b"") == whole.replace(b"x", b"")


def test_a_line_that_stays_too_long_is_cut() -> None:
    """Its beginning is kept, and it says so."""
    kept: list[OutputLine] = []
    cutting = LineReader(kept.append, cap=4, shorten=_without_x)
    cutting.write(b"abc")
    cutting.write(b"defxx\nshort\n")
    assert kept == [OutputLine(b"abcd", 4, ends=False), OutputLine(b"shor", 1, ends=False)]
