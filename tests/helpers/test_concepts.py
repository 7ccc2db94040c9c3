"""The drawn ideas: all texts inside the picture, none on another, and an alternative text that says what is to be seen."""

from __future__ import annotations

import itertools

import pytest

from helpers import concepts

WORTH = {
    frozenset(members): float(len(members) ** 2 - 3 * ("a" in members))
    for size in range(4)
    for members in itertools.combinations("abc", size)
}


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (concepts.draw_step, "advantage"),
        (concepts.draw_leash, "α times the log-ratio"),
        (lambda: concepts.draw_coalitions(WORTH, ("a", "b", "c")), "a b c +6"),
    ],
    ids=["step", "leash", "coalitions"],
)
def test_a_picture_is_legible(draw, told):
    figure = draw()
    assert told in figure.alt
    renderer = figure.canvas.get_renderer()
    (axes,) = figure.axes
    frames = [text.get_window_extent(renderer) for text in axes.texts if text.get_text()]
    assert len(frames) > 5
    for frame in frames:
        assert figure.bbox.x0 <= frame.x0
        assert frame.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= frame.y0
        assert frame.y1 <= figure.bbox.y1
    boxes = [patch.get_window_extent(renderer) for patch in axes.patches]
    assert len(boxes) > 4
    for kind in (frames, boxes):
        assert not any(one.overlaps(other) for one, other in itertools.combinations(kind, 2))
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and axes.bbox.y0 <= box.y0 for box in boxes), (
        "a box is cut off"
    )


def test_the_net_of_coalitions_shows_what_the_last_player_adds():
    figure = concepts.draw_coalitions(WORTH, ("a", "b", "c"))
    shown = sorted(text.get_text() for text in figure.axes[0].texts if text.get_text().startswith(("+", "-")))
    assert shown == ["+1", "+3", "+3", "+5"]
