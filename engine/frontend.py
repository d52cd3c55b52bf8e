"""Taichi 1.7's Python front end without the work that nobody reads.

Taichi rebuilds every kernel from its Python source in every process, even when the machine code is cached. A third of
that time goes into drawing source lines with carets for each node of the syntax tree, in case it were wrong, and a
quarter of the time to import our functions into finding out from their files whether they stand in a class. Both
are replaced by a look at what Python knows anyway; errors still name the file, the line and the function.
Other versions of Taichi are left alone.
"""

import functools
import sys

import taichi as ti
from taichi.lang import kernel_impl
from taichi.lang.ast.ast_transformer_utils import ASTTransformerContext


def _inside_class(level_of_class_stackframe: int) -> bool:
    """Whether the frame that many levels up executes a class's body, which is the frame below."""
    return "__qualname__" in sys._getframe(level_of_class_stackframe - 1).f_locals


def _place(context, node) -> str:
    """Where a node of the syntax tree stands."""
    return f'File "{context.file}", line {node.lineno + context.lineno_offset}, in {context.func.func.__name__}:\n'


def lighten() -> None:
    """Let Taichi do without it, from here on."""
    if ti.__version__[:2] == (1, 7):
        kernel_impl._inside_class = _inside_class
        kernel_impl.getsourcelines = functools.cache(kernel_impl.getsourcelines)
        ASTTransformerContext.get_pos_info = _place
