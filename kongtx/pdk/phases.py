"""In which phases a function of the PDK may be called; on the hot path."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from kongtx.pdk.errors import PhaseError

CERTIFICATE = "certificate"
REWRITE, ACCESS, BALANCER = "rewrite", "access", "balancer"
RESPONSE, HEADER_FILTER, BODY_FILTER, LOG = "response", "header_filter", "body_filter", "log"

#: From the header's arrival on.
REQUEST = frozenset({REWRITE, ACCESS, BALANCER, RESPONSE, HEADER_FILTER, BODY_FILTER, LOG})
#: Once the request has been routed.
ROUTED = frozenset({ACCESS, BALANCER, RESPONSE, HEADER_FILTER, BODY_FILTER, LOG})
#: While what goes upstream can change.
BEFORE_UPSTREAM = frozenset({REWRITE, ACCESS})
#: Until a peer has been chosen.
BEFORE_PEER = frozenset({REWRITE, ACCESS, BALANCER})
#: While what goes to the client can change.
BEFORE_CLIENT = frozenset({REWRITE, ACCESS, BALANCER, RESPONSE, HEADER_FILTER})
#: Once there is something to answer.
ANSWERED = frozenset({RESPONSE, HEADER_FILTER, BODY_FILTER, LOG})
#: While the client's body can be read.
READING = frozenset({REWRITE, ACCESS, RESPONSE})

F = TypeVar("F", bound=Callable[..., Any])


def only_in(phases: frozenset[str], function: str) -> Callable[[F], F]:
    """Refuse calls in other phases; for methods of objects whose C{_request} is a request context.

    @param function: the name as plugins write it, without C{kong.}.
    @raise PhaseError: by the decorated method.
    """

    def decorate(method: F) -> F:
        @wraps(method)
        def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self._request.phase not in phases:
                raise PhaseError(function, self._request.phase, phases)
            return method(self, *args, **kwargs)

        return checked  # type: ignore[return-value]

    return decorate
