"""The page in one file: what is in it, and what a browser shows of it without a server or a network."""

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import nibabel as nib
import numpy as np
import pytest

from engine.errors import UserError
from engine.grid import Grid
from engine.picture import rgb_of
from tests.viewer.browser import chromium, complaints, pixels, wait
from tests.viewer.test_screenshot import hue_is_near
from viewer import view
from viewer.html import page_of, write_html
from viewer.meshes import measure, surface_of
from viewer.packed import packed_image, packed_surface
from viewer.places import Mark
from viewer.readout import readout
from viewer.subject import Subject

BAD = "</script><script>window.hurt = 1</script>"


class _Page(HTMLParser):
    """Elements of a page: their attributes, and the text in those that have an id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes, self.texts, self._id = [], {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        self._id = dict(attrs).get("id", tag)

    def handle_data(self, data):
        self.texts.setdefault(self._id, []).append(data)


def _facts(page: _Page) -> dict:
    return json.loads("".join(page.texts["subject"]))


def _image(text: str) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def test_a_page_holds_images_labels_and_what_is_known(subject):
    facts = _facts(_Page(page_of(subject)))
    for image in facts["images"]:
        read, own = _image(image["data"]), subject.images[image["name"]]
        step = 1.0 if image["name"] == "ct" else np.ptp(next(iter(subject.presets["mr"].values()))) / 1000
        assert np.abs(np.asarray(read.dataobj).T - own).max() <= 0.51 * step
        assert np.allclose(read.affine, subject.grid.affine_ras)
    names = ["", *(one["name"] for one in facts["structures"])]
    labels = np.asarray(_image(facts["labels"]).dataobj).T
    assert {names[n] for n in np.unique(labels)} == {"", *subject.names.values()}
    for label, name in subject.names.items():
        assert np.array_equal(labels == names.index(name), subject.labels == label)
    assert [names[one["parent"]] for one in facts["structures"]] == ["", "body", "liver", "body"]
    assert [one["color"] for one in facts["structures"]] == list(subject.colors.values())


def test_a_page_asks_the_network_for_nothing_and_says_so(subject):
    page = _Page(page_of(subject))
    assert not [one for one in page.attributes if one[1] in ("src", "href", "style") or one[1].startswith("on")]
    policy = next(value for tag, name, value in page.attributes if tag == "meta" and value.startswith("default-src"))
    assert policy.startswith("default-src 'none';") and "http" not in policy and "unsafe" not in policy


def test_names_cannot_break_a_page(subject):
    text = page_of(replace(subject, name=BAD, names={**subject.names, 3: BAD}, volume=None))
    assert BAD not in text
    facts = _facts(_Page(text))
    assert facts["name"] == BAD and facts["structures"][2]["name"] == BAD


def test_what_lies_beyond_numbers_is_packed_too():
    grid = Grid.centred((4, 3, 2), (1.0, 1.0, 1.0))
    data = np.arange(24, dtype=np.float32).reshape(grid.shape) * 1e6
    data[0, 0, :3] = np.nan, np.inf, -np.inf
    read = np.asarray(_image(packed_image(data, grid, "mr", (0.0, 1.0))).dataobj).T
    assert np.abs(read[1] - data[1]).max() <= 23e6 / 65534
    assert np.allclose(read[0, 0, :3], [3e6, 23e6, 3e6], atol=400)


def test_a_packed_surface_keeps_its_place_and_size(subject):
    own = surface_of(subject, 2)
    data = gzip.decompress(base64.b64decode(packed_surface(own, subject.grid)))
    faces, points = np.frombuffer(data, "<i4", 2, offset=4)
    triangles = np.frombuffer(data, "<i4", 3 * faces, offset=16).reshape(-1, 3)
    places = np.frombuffer(data, "<f4", 3 * points, offset=16 + 12 * faces).reshape(-1, 3) * [-1, -1, 1]
    assert faces < own.n_cells
    again = measure(type(own).from_regular_faces(places, triangles))
    assert again.volume_mm3 == pytest.approx(measure(own).volume_mm3, rel=0.02)
    assert np.allclose(places.mean(axis=0), own.center, atol=1.5)


def test_pages_that_cannot_be_are_told(subject, tmp_path):
    with pytest.raises(UserError, match=r"name the file \.html"):
        view(subject, html=tmp_path / "a.png")
    with pytest.raises(UserError, match="--screenshot and --html exclude each other"):
        view(subject, screenshot=tmp_path / "a.png", html=tmp_path / "a.html")
    with pytest.raises(UserError, match="--web and --html exclude each other"):
        view(subject, web="0", html=tmp_path / "a.html")
    with pytest.raises(UserError, match="no 'us' image; it has: ct, mr"):
        view(subject, html=tmp_path / "a.html", modality="us")
    many = np.arange(subject.grid.shape[0] * 9).reshape(-1, 3, 3) + 1
    with pytest.raises(UserError, match="255 structures at most, here are 288"):
        view(Subject.from_arrays(Grid.centred((3, 3, 32), (1.0, 1.0, 1.0)), {}, many), html=tmp_path / "a.html")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="part of the path is a file"):
        view(subject, html=tmp_path / "file" / "a.html")


def test_one_image_may_be_asked_for(subject, tmp_path):
    text = view(subject, html=tmp_path / "new" / "a.html", modality="mr").read_text()
    assert [one["name"] for one in _facts(_Page(text))["images"]] == ["mr"]


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    opened = chromium(tmp_path_factory.mktemp("profile"))
    opened.set_window_size(900, 640)
    yield opened
    opened.quit()


@pytest.fixture
def opened(driver, subject, tmp_path):
    """A browser with the page of a subject, one structure of which has a hostile name."""
    named = replace(subject, names={**subject.names, 4: f"spleen {BAD}"}, volume=None)
    _open(driver, write_html(named, tmp_path / "a.html"))
    yield driver
    assert complaints(driver) == []
    asked = driver.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [one for one in asked if not one.startswith("data:")] == []


def _open(driver, path):
    driver.get(path.as_uri())
    wait(lambda: " mm " in _text(driver, "foot"), "the page did not open")


def _text(driver, name):
    return driver.find_element("id", name).text


def _press(driver, key):
    driver.find_element("tag name", "body").send_keys(key)


def _button(driver, title):
    return next(one for one in driver.find_elements("tag name", "button") if one.text == title)


def _structure(driver, name):
    return next(one for one in driver.find_elements("css selector", "#structures li") if one.text.startswith(name))


def _slices(driver):
    """Pixels of the axial pane, the picture's upper left quarter."""
    shown = pixels(driver, "panes")
    return shown[: shown.shape[0] // 2, : shown.shape[1] // 2]


def _organs(driver):
    shown = pixels(driver, "panes")
    return shown[: shown.shape[0] // 2, shown.shape[1] // 2 :]


def _outline(picture, color):
    """(row, column) of pixels in a structure's own colour."""
    return np.argwhere((np.abs(picture.astype(int) - rgb_of(color)) <= 3).all(axis=-1))


def _click(driver, share_x, share_y):
    from selenium.webdriver import ActionChains

    canvas = driver.find_element("id", "canvas")
    x, y = ((share - 0.5) * canvas.size[edge] for share, edge in ((share_x, "width"), (share_y, "height")))
    ActionChains(driver).move_to_element_with_offset(canvas, round(x), round(y)).click().perform()


def test_the_patients_right_is_on_the_left_and_organs_are_there(opened, subject):
    wait(lambda: _slices(opened).std() > 20)
    picture = _slices(opened)
    liver, spleen = _outline(picture, subject.colors[2]), _outline(picture, subject.colors[4])
    assert len(liver) > 50 and len(spleen) > 30
    assert liver[:, 1].mean() < picture.shape[1] / 2 < spleen[:, 1].mean()
    organs = _organs(opened)
    right, left = (np.argwhere(hue_is_near(organs, subject.colors[label]))[:, 1] for label in (3, 4))
    assert len(right) > 100 and len(left) > 200 and right.mean() < left.mean()
    assert opened.execute_script("return window.hurt") is None and BAD in _structure(opened, "spleen").text


def test_a_click_moves_the_cursor_and_its_readout_is_that_of_the_viewers(opened, subject):
    before, picture = _text(opened, "foot"), pixels(opened, "panes")
    _click(opened, 0.25 - 0.07, 0.25)
    wait(lambda: _text(opened, "foot") != before)
    voxel = tuple(map(int, re.search(r"voxel (\d+), (\d+), (\d+)", _text(opened, "foot")).groups()))
    assert _text(opened, "foot") == readout(subject, voxel).text
    assert "HU" in _text(opened, "foot") and "liver in body" in _text(opened, "foot")
    wait(lambda: (pixels(opened, "panes") != picture).any())


def test_the_mouse_drags_the_window_maximises_a_pane_and_comes_closer(opened, subject):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.mouse_button import MouseButton
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    canvas = opened.find_element("id", "canvas")
    drag = ActionChains(opened)
    pointer = drag.w3c_actions.pointer_action
    pointer.move_to(canvas, -150, -100)
    pointer.pointer_down(MouseButton.RIGHT).move_by(60, 0).pointer_up(MouseButton.RIGHT)
    drag.perform()
    wait(lambda: "own" in _text(opened, "window") and "own" in _text(opened, "marks"))
    _press(opened, "1")
    wait(lambda: "abdomen" in _text(opened, "window"))
    ActionChains(opened).move_to_element_with_offset(canvas, -150, 100).double_click().perform()
    wait(lambda: "coronal" in _text(opened, "marks") and "axial" not in _text(opened, "marks"))
    assert "abdomen" in _text(opened, "window")
    _press(opened, "x")
    wait(lambda: "axial" in _text(opened, "marks"))
    seen = hue_is_near(_organs(opened), subject.colors[4]).sum()
    ActionChains(opened).scroll_from_origin(ScrollOrigin.from_element(canvas, 150, -100), 0, -100).perform()
    wait(lambda: hue_is_near(_organs(opened), subject.colors[4]).sum() > 1.1 * seen)


def test_the_ruler_tells_mm_and_leaves_the_cursor(opened, subject):
    from selenium.webdriver import ActionChains, Keys

    before = _text(opened, "foot")
    _button(opened, "measure").click()
    ends = []
    for share in (0.15, 0.35):
        _click(opened, share, 0.31)  # off the other planes
        wait(lambda: len(opened.find_elements("css selector", "#marks circle")) == len(ends) + 1)
        ends.append(re.search(r"voxel (\d+), (\d+), (\d+)", _text(opened, "foot")).groups())  # what the mouse is over
    length = np.linalg.norm(np.diff(subject.grid.to_world(np.array(ends, float)), axis=0))
    wait(lambda: f"{length:.1f} mm" in _text(opened, "marks"))
    _press(opened, "f")
    wait(lambda: f"{length:.1f} mm" not in _text(opened, "marks"))  # on its own slice alone
    _press(opened, "b")
    wait(lambda: f"{length:.1f} mm" in _text(opened, "marks"))
    _press(opened, Keys.ESCAPE)
    wait(lambda: not opened.find_elements("css selector", "#marks circle"))
    _click(opened, 0.2, 0.3)
    ActionChains(opened).move_to_element(opened.find_element("id", "panel")).perform()
    wait(lambda: _text(opened, "foot") != before)


def test_the_cursor_follows_the_mouse_while_shift_is_held(opened):
    from selenium.webdriver import ActionChains, Keys

    canvas = opened.find_element("id", "canvas")
    lines = _text(opened, "marks")
    ActionChains(opened).move_to_element_with_offset(canvas, -150, -100).perform()
    assert _text(opened, "marks") == lines
    ActionChains(opened).key_down(Keys.SHIFT).move_by_offset(-20, 15).key_up(Keys.SHIFT).perform()
    wait(lambda: _text(opened, "marks") != lines)


def test_prompts_lie_on_their_slice_and_scores_in_the_panel(driver, subject, tmp_path):
    x, y, z = 30, 20, 16
    (place,) = subject.grid.to_world(np.array([[x, y, z]], float))
    box = subject.grid.to_world(np.array([[24.5, 14.5, z], [35.5, 25.5, z]]))
    marks = (Mark("on", (tuple(place),)), Mark("box", tuple(map(tuple, box))))
    shown = replace(subject, marks=marks, notes=("Dice 0.50",), focus=tuple(place), zoom=2.0, volume=None)
    _open(driver, write_html(shown, tmp_path / "result.html"))
    assert _text(driver, "notes") == "Dice 0.50"
    wait(lambda: len(driver.find_elements("css selector", "#marks path")) == 6)  # a plus and a box in each plane
    wait(lambda: len(_outline(_slices(driver), "#00e080")) > 20)
    _press(driver, "f")
    wait(lambda: len(driver.find_elements("css selector", "#marks path")) == 4)  # the others still cross it
    _press(driver, "g")
    wait(lambda: not driver.find_elements("css selector", "#marks path"))
    assert complaints(driver) == []


def test_a_hidden_structure_is_gone_from_slices_and_from_3d(opened, subject):
    color = subject.colors[4]
    wait(lambda: len(_outline(_slices(opened), color)) > 30)
    assert hue_is_near(_organs(opened), color).sum() > 200
    _structure(opened, "spleen").click()
    wait(lambda: len(_outline(_slices(opened), color)) == 0)
    assert hue_is_near(_organs(opened), color).sum() == 0
    _structure(opened, "spleen").click()
    wait(lambda: len(_outline(_slices(opened), color)) > 30)


def test_presets_images_and_keys_change_the_picture(opened, subject):
    _press(opened, "g")
    wait(lambda: len(_outline(_slices(opened), subject.colors[2])) == 0)
    bright = _slices(opened).mean()
    _press(opened, "5")
    wait(lambda: _slices(opened).mean() < 0.8 * bright)
    assert "bone" in _text(opened, "window") and "on" in _button(opened, "5 bone").get_attribute("class")
    _button(opened, "MR").click()
    wait(lambda: "MR axial" in _text(opened, "marks") and "auto" in _text(opened, "window"))
    _press(opened, "m")
    wait(lambda: "CT axial" in _text(opened, "marks") and "bone" in _text(opened, "window"))
    before = _text(opened, "marks")
    _press(opened, "f")
    wait(lambda: _text(opened, "marks") != before)
    _press(opened, "x")
    wait(lambda: "coronal" not in _text(opened, "marks"))
    _press(opened, "h")
    assert "next slice" in _text(opened, "help") and "side by side" not in _text(opened, "help")


def test_an_image_without_labels_and_labels_without_an_image_open_too(driver, subject, tmp_path):
    _open(driver, write_html(Subject.from_arrays(subject.grid, {"ct": subject.images["ct"]}), tmp_path / "image.html"))
    wait(lambda: _slices(driver).std() > 20 and _organs(driver).std() > 5)
    assert "CT " in _text(driver, "foot") and "background" in _text(driver, "foot")
    labels = Subject.from_arrays(subject.grid, {}, subject.labels, subject.names, subject.colors)
    _open(driver, write_html(labels, tmp_path / "labels.html"))
    wait(lambda: len(_outline(_slices(driver), subject.colors[2])) > 50)
    assert "HU" not in _text(driver, "foot")
    assert complaints(driver) == []
