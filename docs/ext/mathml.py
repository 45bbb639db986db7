"""Write formulas as MathML, which browsers draw themselves: no script, no font, nothing to fetch."""

from __future__ import annotations

import re

from docutils import nodes
from docutils.utils.math import MathError, wrap_math_code
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)

# Spellings that docutils' parser does not know, and equals that it does; brackets grow by themselves in MathML.
_SPELLINGS = (
    (re.compile(r"\\[td]frac(?![a-z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\\[a-z]+|\w)\s*(\\[a-z]+|\w)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\dots\b"), r"\\ldots"),
    (re.compile(r"\\big[lr]?\b"), ""),
)


def to_mathml(source: str, *, block: bool, node: nodes.Node) -> str:
    for spelling, known in _SPELLINGS:
        source = spelling.sub(known, source)
    if block and r"\\" in source:
        source = wrap_math_code(source, as_block=True)
    try:
        text = tex2mathml(source, as_block=block)
    except (MathError, SyntaxError) as error:
        logger.warning("formula not understood: %s: %s", source, error, location=node)
        return f"<code>{source}</code>"
    return text


def visit_math(self, node: nodes.math) -> None:
    self.body.append(to_mathml(node.astext(), block=False, node=node))
    raise nodes.SkipNode


def visit_math_block(self, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    self.body.append(to_mathml(node.astext().strip(), block=True, node=node))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
