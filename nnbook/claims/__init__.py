"""The claims of a chapter: each number beside its reference, and the table that raises when one fails."""

from nnbook.claims.claim import MIME, Claim, ClaimError, Claims, table, two_digits
from nnbook.claims.together import Pulls, claim_of, collect, pulls, unnoticed

__all__ = [
    "MIME",
    "Claim",
    "ClaimError",
    "Claims",
    "Pulls",
    "claim_of",
    "collect",
    "pulls",
    "table",
    "two_digits",
    "unnoticed",
]
