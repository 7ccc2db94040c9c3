"""Formulas as MathML, which a browser shows without a script."""

from __future__ import annotations

import html
import xml.etree.ElementTree as ElementTree

LONGEST = 5_000  # characters of a formula
ATTRIBUTES = frozenset(
    "accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form height linethickness "
    "lspace mathsize mathvariant maxsize minsize movablelimits notation rowlines rowspacing rspace scriptlevel separator "
    "stretchy symmetric voffset width xmlns".split()
)  # no style, class, id or link: a formula may come from a student


def mathml(formula: str, display: str = "inline") -> str:
    """A formula in LaTeX as a `<math>` element that holds nothing but mathematics.

    The converter writes texts and attributes as they come (`\\text{<script>}`), so the element is written out here.

    Raises:
        ValueError: the converter does not know what stands in it, or it is too long.
    """
    from latex2mathml.converter import convert_to_element

    if len(formula) > LONGEST:
        raise ValueError(f"a formula of {len(formula)} characters")
    source = formula.replace("\\lvert", "|").replace("\\rvert", "|").strip()
    try:
        root = convert_to_element(source, display=display)
    except Exception as error:  # the converter raises what it likes on input that it does not know
        raise ValueError(f"no formula: {type(error).__name__}") from error
    for element in root.iter():
        element.attrib = {key: value for key, value in element.attrib.items() if key in ATTRIBUTES}
        element.text, element.tail = html.unescape(element.text or ""), html.unescape(element.tail or "")
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False).replace("\n", " ")
