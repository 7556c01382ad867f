"""The pairs of a backtest as small squares of SVG, each a link to the canary's job.

The left half of a square is the champion's, the right half the canary's; a half is filled where its version
solved the case. So nothing is said by colour alone. Classes are in the style sheet.
"""

from collections.abc import Sequence

from markupsafe import Markup

from console.details.backtest_detail import PairFate, PairLine

#: Squares that are drawn at most: the newest. The table below the picture has all pairs.
MOST_SQUARES = 500

#: The size of a square in CSS pixels, as large as what a finger can meet.
SIZE = 24


def pair_squares(pairs: Sequence[PairLine]) -> Markup:
    """The picture: a list, so that it wraps at any width; "" for no pairs."""
    if not pairs:
        return Markup("")
    items = (
        Markup('<li><a href="/jobs/{}" aria-label="{}">{}</a></li>').format(
            each.canary_job, each.words, square(each.fate, title=each.words)
        )
        for each in pairs[-MOST_SQUARES:]
    )
    return Markup('<ul class="squares">{}</ul>').format(Markup("").join(items))


def square(fate: PairFate, *, title: str = "") -> Markup:
    """One square; without a title it is for those who see it, beside words that say the same."""
    half, inner = SIZE // 2, SIZE - 4
    left = Markup('<rect class="one" x="2" y="2" width="{}" height="{}"/>').format(half - 2, inner)
    right = Markup('<rect class="two" x="{}" y="2" width="{}" height="{}"/>').format(half, half - 2, inner)
    drawn = {
        PairFate.BOTH: left + right,
        PairFate.CHAMPION: left,
        PairFate.CANARY: right,
        PairFate.EXCLUDED: Markup('<path class="out" d="M5 5 L{0} {0} M{0} 5 L5 {0}"/>').format(SIZE - 5),
    }.get(fate, Markup(""))
    frame = Markup('<rect class="frame" x="2" y="2" width="{0}" height="{0}"/>').format(inner)
    named = Markup("<title>{}</title>").format(title) if title else Markup("")
    shown = Markup('role="img"') if title else Markup('aria-hidden="true"')
    return Markup(
        '<svg class="square {0}" width="{1}" height="{1}" viewBox="0 0 {1} {1}" {2}>{3}{4}{5}</svg>'
    ).format(fate.value, SIZE, shown, named, drawn, frame)
