"""The page at `/`, and how a person signs in to it: a token is typed once and becomes a cookie."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from facefx.cluster.http_auth import COOKIE, Passes
from facefx.cluster.http_body import read_body
from facefx.pipeline.web_page import page_head

__all__ = ["OPEN_PATHS", "page_routes"]

OPEN_PATHS = frozenset({"/", "/signin", "/healthz"})
"""Need no token: the page without one is the form that asks for it."""

_MOST = 4096
_MONTH_S = 30 * 86400
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# The page's own head says the same, but for what only a header can say.
_POLICY = "frame-ancestors 'none'"
_CONNECTS = '<link rel="icon" href="data:,">'


def page_routes(passes: Passes, secure: bool) -> APIRouter:
    """The routes. secure: whether the cookie is for HTTPS only."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def page(request: Request) -> Response:
        if passes.cookie(request.cookies.get(COOKIE)):
            return _html(_page())
        return _html(_signin(""), 401)

    @routes.post("/signin")
    async def sign_in(request: Request) -> Response:
        form = parse_qs((await read_body(request, _MOST)).decode("utf-8", "replace"))
        token = form.get("token", [""])[0].strip()
        if not passes.token(token):
            return _html(_signin("That token is not known here."), 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            passes.cookie_of(token),
            max_age=_MONTH_S,
            httponly=True,
            samesite="strict",
            secure=secure or request.url.scheme == "https",
        )
        return answer

    @routes.post("/signout")
    def sign_out() -> Response:
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return routes


def _html(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status, {**_HEADERS, "Content-Security-Policy": _POLICY})


@cache
def _page() -> str:
    style, script = _asset("page.css"), "".join(_asset(name) for name in _SCRIPTS)
    head = page_head("facefx live", style, script, "'self' blob: data:", _CONNECTS)
    # What the page may do beyond looking: ask this very service.
    head = head.replace("form-action 'none'", "form-action 'self'; connect-src 'self'")
    return f"{head}{_asset('page.html')}<script>{script}</script>\n</body></html>\n"


_SCRIPTS = ("tools.js", "sliders.js", "streams.js", "images.js", "page.js")


def _signin(wrong: str) -> str:
    head = page_head("Sign in to facefx", _asset("page.css"), "", "data:", _CONNECTS)
    head = head.replace("form-action 'none'", "form-action 'self'")
    said = f'<p class="wrong" role="alert">{wrong}</p>' if wrong else ""
    return f"{head}{_asset('signin.html').replace('<!--wrong-->', said)}</body></html>\n"


@cache
def _asset(name: str) -> str:
    return files("facefx.cluster").joinpath("page", name).read_text(encoding="utf-8")
