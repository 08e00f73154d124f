"""What a gateway was observed to do with paths; each row is checked both stripped and kept.

Columns: service path (C{-} for none), route path, request target, upstream target when stripped,
upstream target when kept, removed prefix.
"""

ROWS = r"""
-      /api      /api     /           /api           /api
-      /api      /api/    /           /api/          /api
-      /api      /api/v   /v          /api/v         /api
-      /api      /apiv    /v          /apiv          /api
-      /api      /api?q=1 /?q=1       /api?q=1       /api
-      /api/     /api/    /           /api/          /api/
-      /api/     /api/v   /v          /api/v         /api/
-      /         /        /           /              -
-      /         /a/b     /a/b        /a/b           -
-      ~/v\d+/x  /v1/x    /           /v1/x          /v1/x
-      ~/v\d+/x  /v1/x/y  /y          /v1/x/y        /v1/x
-      ~/v\d+/x  /v1/xy   /y          /v1/xy         /v1/x
/      /api      /api     /           /api           /api
/      /api      /api/    /           /api/          /api
/      /api      /api/v   /v          /api/v         /api
/      /api      /apiv    /v          /apiv          /api
/      /api      /api?q=1 /?q=1       /api?q=1       /api
/      /api/     /api/    /           /api/          /api/
/      /api/     /api/v   /v          /api/v         /api/
/      /         /        /           /              -
/      /         /a/b     /a/b        /a/b           -
/      ~/v\d+/x  /v1/x    /           /v1/x          /v1/x
/      ~/v\d+/x  /v1/x/y  /y          /v1/x/y        /v1/x
/      ~/v\d+/x  /v1/xy   /y          /v1/xy         /v1/x
/base  /api      /api     /base       /base/api      /api
/base  /api      /api/    /base/      /base/api/     /api
/base  /api      /api/v   /base/v     /base/api/v    /api
/base  /api      /apiv    /base/v     /base/apiv     /api
/base  /api      /api?q=1 /base?q=1   /base/api?q=1  /api
/base  /api/     /api/    /base/      /base/api/     /api/
/base  /api/     /api/v   /base/v     /base/api/v    /api/
/base  /         /        /base       /base          -
/base  /         /a/b     /base/a/b   /base/a/b      -
/base  ~/v\d+/x  /v1/x    /base       /base/v1/x     /v1/x
/base  ~/v\d+/x  /v1/x/y  /base/y     /base/v1/x/y   /v1/x
/base  ~/v\d+/x  /v1/xy   /base/y     /base/v1/xy    /v1/x
/base/ /api      /api     /base       /base/api      /api
/base/ /api      /api/    /base/      /base/api/     /api
/base/ /api      /api/v   /base/v     /base/api/v    /api
/base/ /api      /apiv    /base/v     /base/apiv     /api
/base/ /api      /api?q=1 /base?q=1   /base/api?q=1  /api
/base/ /api/     /api/    /base/      /base/api/     /api/
/base/ /api/     /api/v   /base/v     /base/api/v    /api/
/base/ /         /        /base/      /base/         -
/base/ /         /a/b     /base/a/b   /base/a/b      -
/base/ ~/v\d+/x  /v1/x    /base       /base/v1/x     /v1/x
/base/ ~/v\d+/x  /v1/x/y  /base/y     /base/v1/x/y   /v1/x
/base/ ~/v\d+/x  /v1/xy   /base/y     /base/v1/xy    /v1/x
"""

TABLE = [tuple(row.split()) for row in ROWS.strip().splitlines()]
