"""Which numbers a document may contain although JSON values are stored and sent as doubles."""

from decimal import Decimal

from ordinaut.limits import EXACT_INTEGER

SIGNIFICANT_DIGITS = 15
"""Every decimal number of at most this many digits survives the way through a double."""
SCHEMA_FIELDS = frozenset({"input_schema", "output_schema", "params_schema"})
"""Fields with a JSON Schema: a bound such as 2^63 - 1 may be rounded there, with a warning."""
_MAX_BITS = 1024


def is_exact(number: float) -> bool:
    """Whether a number is certainly the one that was written.

    From 2^53 on, a double does not represent every integer, and an id may have been rounded on its way. A number with
    few significant digits, such as 1e21, cannot be such an id.

    >>> is_exact(2**53 - 1), is_exact(1e21), is_exact(10**21), is_exact(2**53), is_exact(2.0**63)
    (True, True, True, False, False)
    """
    if abs(number) < EXACT_INTEGER:
        return True
    if isinstance(number, int):
        return number.bit_length() <= _MAX_BITS and len(str(abs(number)).rstrip("0")) <= SIGNIFICANT_DIGITS
    return len(Decimal(repr(number)).normalize().as_tuple().digits) <= SIGNIFICANT_DIGITS
