"""Expressions of pipelines and event triggers: JMESPath with limits on cost and size."""

from ordinaut.expressions.bounds import Account
from ordinaut.expressions.errors import ExpressionError, Kind
from ordinaut.expressions.expression import Expression, compile_expression

__all__ = ["Account", "Expression", "ExpressionError", "Kind", "compile_expression"]
