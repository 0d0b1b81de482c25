"""Bounded JMESPath: the expressions of pipelines and of event triggers."""

from ordinaut.expressions.bounds import Account
from ordinaut.expressions.errors import ExpressionError, Kind
from ordinaut.expressions.expression import Expression, compile_expression

__all__ = ["Account", "Expression", "ExpressionError", "Kind", "compile_expression"]
