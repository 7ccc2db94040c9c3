"""`docs/exercises.md`: every function that students write, with its definition and points, read from the masters."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from pathlib import Path

from autograder import masters
from helpers.parts import PARTS

PAGE = Path("docs", "exercises.md")
EXAMPLE_OR_HINT = re.compile(r"^(?:\\*?Example|By hand|Useful|Hint|\\*?Hint|Start from|Try )", re.MULTILINE)
PREAMBLE = """\
<!-- Generated from the masters in solutions/ by `course build`: change the master, not this page. -->

# The exercises

What students write, part by part: the contract between the notebooks, the tests and the graders. Each function stands in a
code cell of its own, under exactly this name and with these arguments. An entry gives its question, its points (those of the
tests that students see, and those of the hidden ones), its signature, and its definition: the exercise's text up to its
first example or hint, and the docstring of our solution. "Above" means above in the notebook.

Letters in shapes: `B` batch, `T` tokens, `V` vocabulary, `N` samples, `P` prompts, `K` completions of one prompt, `H` heads,
`D` the width of a head or of an action, `M` the model's width. "Detached" means that no gradient flows through a result.

## What holds for every function

- **Inputs stay as they are.** Nothing is changed in place, and where a copy is promised it shares no memory with an input.
- **Device and dtype** of the result are those of the inputs, unless its entry says otherwise. Every float dtype counts,
  bfloat16 and float64 included; what PyTorch cannot do in bfloat16 may go through float32 and back. Numbers may be int or float.
- **Any batch size**, 1 included. A row whose mask is all False gives 0, never NaN.
- **Masks** are bool tensors. A masked position adds exactly nothing, to the value and to the gradient, whatever stands there.
- **Large numbers.** Logits may reach ±10,000 and log-probs −10,000, so a function stays with logarithms.
  Tolerances grow with the rounding of the dtype and the size of the inputs.
- **Gradients** pass wherever the definition does not say "detached"; both are tested. A gradient is finite wherever the
  value is: what an excluded or masked entry gets is 0.
- **A promised `float`** is a Python float. Where several results are promised, a list is as good as a tuple.
- **Errors** are tested only where the definition names them.
- **No test asks for more than the text says.** What a competent student writes from the definition passes, in any style.
  Tests compare results, never the way to them; a wrong result that is a known mistake is named in the message.
"""


def exercises_page(sources: Mapping[int, Path]) -> str:
    """The page's text, the same bytes for the same masters.

    Args:
        sources: the master of each part.
    """
    sections = [PREAMBLE]
    for part, path in sorted(sources.items()):
        entries = [_entry(question) for question in masters.load_questions_from(path, part) if not question.manual]
        sections.append(f"## {masters.read_title(path)} (`{PARTS[part]}`)\n\n" + "\n".join(entries))
    return "\n".join(sections)


def _entry(question: masters.Question) -> str:
    """One function: a heading with name and points, the exercise's definition, the signature and docstring."""
    tree = ast.parse(question.solution)
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == question.function)
    docstring = inspect.cleandoc(ast.get_docstring(function, clean=False) or "")
    hidden = sum(test.points for test in question.tests if test.hidden)
    public = question.points - hidden
    code = f"def {function.name}({ast.unparse(function.args)}):\n" + "\n".join(
        f"    {line}".rstrip() for line in f'"""{docstring}"""'.splitlines()
    )
    heading = f"### {question.name} · `{function.name}` · {public:g} public, {hidden:g} hidden"
    return f"{heading}\n\n{_definition(question.prompt)}\n\n```python\n{code}\n```\n"


def _definition(prompt: str) -> str:
    """The exercise's text without its title, up to the first example or hint."""
    text = re.sub(r"^\*\*(Exercise|Question) [^*]+\*\*( \([^)]*\))?[.:]?", "", prompt.strip())
    return EXAMPLE_OR_HINT.split(text, maxsplit=1)[0].strip()
