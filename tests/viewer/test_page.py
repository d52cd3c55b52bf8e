"""The page: who may use it, and what its mouse and keys do."""

import asyncio
import socket

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from engine.errors import UserError
from viewer.desk import Desk
from viewer.guard import guard
from viewer.page import Page, serve
from viewer.panes import column_row, pane
from viewer.sources import Still


def _ask(host, token, path="/", **headers):
    """Status and cookies of a request that goes through the guard."""

    async def run():
        app = web.Application(middlewares=[guard(host, token)])

        async def inside(_):
            return web.Response(text="in")

        app.router.add_get("/", inside)
        async with TestClient(TestServer(app)) as client:
            answer = await client.get(path, headers=headers, allow_redirects=False)
            return answer.status, {name: morsel.value for name, morsel in answer.cookies.items()}

    return asyncio.run(run())


def test_a_page_on_this_machine_needs_no_token_and_refuses_other_names():
    assert _ask("127.0.0.1", "")[0] == 200
    assert _ask("127.0.0.1", "", Host="evil.example")[0] == 403  # a name made to point here
    assert _ask("127.0.0.1", "", Origin="http://evil.example")[0] == 403  # another site's page


def test_a_page_for_others_asks_for_its_token_once():
    assert _ask("0.0.0.0", "secret")[0] == 403
    assert _ask("0.0.0.0", "secret", "/?token=wrong")[0] == 403
    status, cookies = _ask("0.0.0.0", "secret", "/?token=secret")
    assert status == 302 and cookies == {"viscera": "secret"}
    assert _ask("0.0.0.0", "secret", Cookie="viscera=secret")[0] == 200


@pytest.fixture
def page(subject, request, monkeypatch):
    desk = Desk(Still(subject))
    desk.poll()
    made = Page(desk, name=request.node.name)
    with monkeypatch.context() as at_once:
        at_once.setattr("viewer.page._LOST_SECONDS", 0.0)  # no browser says what it has shown
        made.refresh()
        yield made
    made.orbit.close()


def test_a_host_beside_this_machine_gets_a_token(subject):
    shared = Page(Desk(Still(subject)), host="0.0.0.0", name="shared")
    shared.orbit.close()
    assert len(shared.token) >= 16 and shared.url.endswith(f"?token={shared.token}")


def test_a_place_to_serve_that_is_none_is_refused(subject):
    for place in ("somewhere", "127.0.0.1:", "127.0.0.1:99999"):
        with pytest.raises(UserError, match="--web"):
            serve(Desk(Still(subject)), place)


def test_a_port_that_is_taken_is_told(subject):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match="cannot listen there"):
            serve(Desk(Still(subject)), place)


def test_the_page_shows_panes_panel_and_foot(page, subject):
    assert page.state.picture.startswith("data:image/jpeg;base64,")
    assert [one["title"] for one in page.state.panel["images"]] == ["CT", "MR"]
    assert {one["name"] for one in page.state.panel["structures"]} == set(subject.names.values())
    assert "voxel" in page.state.foot


def test_the_mouse_moves_the_cursor_pages_and_turns_the_organs(page):
    desk = page.desk
    axial = next(cell for cell in page._cells if cell.kind == "axial")
    x, y = pane(desk.shown, desk.view, "axial", axial.box[2:]).pixel(*column_row(desk.shown, "axial", (9, 12, 0)))
    page._mouse("down", axial.box[0] + x, axial.box[1] + y, 0)
    page._mouse("up", axial.box[0] + x, axial.box[1] + y, 0)
    assert desk.view.cursor[:2] == (9, 12)
    before, picture = desk.view.cursor[2], page.state.picture
    page._mouse("wheel", axial.box[0] + x, axial.box[1] + y, 2)
    assert desk.view.cursor[2] == before + 2 and page.state.picture != picture
    left, top, wide, high = next(cell for cell in page._cells if cell.kind == "3d").box
    position = page.orbit.plotter.camera.position
    page._mouse("down", left + wide / 2, top + high / 2, 0)
    page._mouse("move", left + wide / 2 + 40, top + high / 2, 1)
    assert page.orbit.plotter.camera.position != position
    low, high = desk.view.window
    page._mouse("down", axial.box[0] + x, axial.box[1] + y, 2)
    page._mouse("move", axial.box[0] + x + 50, axial.box[1] + y, 2)
    assert desk.view.window[1] - desk.view.window[0] > high - low


def test_the_cursor_follows_the_mouse_with_shift(page):
    desk = page.desk
    axial = next(cell for cell in page._cells if cell.kind == "axial")
    x, y = pane(desk.shown, desk.view, "axial", axial.box[2:]).pixel(*column_row(desk.shown, "axial", (9, 12, 0)))
    desk.switch("measuring")
    page._mouse("follow", axial.box[0] + x, axial.box[1] + y, 0)
    assert desk.view.cursor[:2] == (9, 12) and not desk.view.ruler
    left, top, wide, high = next(cell for cell in page._cells if cell.kind == "3d").box
    page._mouse("follow", left + wide / 2, top + high / 2, 0)
    assert desk.view.cursor[:2] == (9, 12)


def test_organs_further_away_are_smaller_and_still_there(page):
    def coloured():
        return int((np.ptp(page.orbit.picture((300, 300)).astype(int), axis=-1) > 60).sum())

    near = coloured()
    page.orbit.closer(0.5)
    assert 0.1 * near < coloured() < 0.5 * near


def test_the_panel_and_keys_change_the_view(page):
    desk = page.desk
    page._take("image", "mr")
    assert desk.view.modality == "mr"
    page._take("structure", 2)
    assert desk.view.hidden == {2} and any(one["off"] for one in page.state.panel["structures"])
    page._take("alone", 3)
    assert desk.view.hidden == {1, 2, 4}
    page._take("opacity", "75")
    assert desk.view.opacity == 0.75 and page.state.panel["opacity"] == 75
    page._key("c")
    assert page.state.panel["beside"]
    page._key("h")
    assert page.state.helping


def test_a_new_size_gives_a_new_picture(page):
    picture = page.state.picture
    page._resized(640, 480)
    assert page.state.picture != picture and page._size == (640, 480)
    page._resized(1, 100_000)
    assert page._size == (200, 4000)


def test_a_picture_waits_until_the_one_before_is_shown(subject, monkeypatch):
    monkeypatch.setattr("viewer.page._LOST_SECONDS", 3600.0)
    desk = Desk(Still(subject))
    desk.poll()
    page = Page(desk, name="slow")
    page.refresh()
    first, number = page.state.picture, page.state.number
    for _ in range(3):
        page._key("f")
    assert (page.state.picture, page.state.number) == (first, number)
    page._shown(number - 1)  # of an older message
    assert page.state.picture == first
    page._shown(number)
    assert page.state.picture != first and page.state.number == number + 1
    page.orbit.close()
