"""The page in a real browser, served by the command: what is on screen after each thing a user does."""

import json
import re
import time

import nibabel as nib
import numpy as np
import pytest

from engine.picture import rgb_of
from tests.viewer.browser import Served, chromium, complaints, pixels, wait

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

SCENE = """\
viscera: 1
name: small
seed: 4
grid: {size: [24, 24, 24], spacing: [4, 4, 4]}
vars:
  size: {uniform: [10, 30]}
structures:
  body: {kind: ellipsoid, material: fat, radii: [44, 40, 44]}
  organ: {kind: sphere, material: liver, inside: body, radius: $size}
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    opened = chromium(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def served(subject, tmp_path_factory):
    """The page of a dataset with one case of two images."""
    root = tmp_path_factory.mktemp("data") / "Dataset001_Balls"
    files = {f"imagesTr/balls_{i:04d}": image for i, image in enumerate(subject.images.values())}
    for name, data in {**files, "labelsTr/balls": subject.labels.astype(np.uint8)}.items():
        path = root / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.ascontiguousarray(data.transpose()), np.diag([-5.0, -5.0, 6.0, 1.0])), path)
    about = {name: {"color": subject.colors[label], "inside": []} for label, name in subject.names.items()}
    facts = {
        "channel_names": {str(i): name for i, name in enumerate(subject.images)},
        "labels": {"background": 0, **{name: label for label, name in subject.names.items()}},
        "viscera": {"structures": about},
    }
    (root / "dataset.json").write_text(json.dumps(facts))
    with Served(root) as page:
        yield page


@pytest.fixture
def page(driver, served):
    """The page of the scan in its first view."""
    driver.get(served.url)
    complaints(driver)  # of the page that was left
    _picture(driver)
    _keys(driver, "r")
    _still(driver)
    yield driver
    assert complaints(driver) == []


def _picture(driver):
    return wait(lambda: [one for one in driver.find_elements("id", "picture") if one.size["height"] > 200])


def _foot(driver):
    return driver.find_element("id", "foot").text


def _voxel(driver):
    """The voxel that the foot tells, (x, y, z)."""
    return tuple(map(int, re.search(r"voxel (\d+), (\d+), (\d+)", _foot(driver)).groups()))


def _keys(driver, *names):
    from selenium.webdriver import ActionChains

    ActionChains(driver).send_keys(*names).perform()


def _mouse(driver, x, y):
    """The mouse at a share of the picture's width and height."""
    from selenium.webdriver import ActionChains

    panes = driver.find_element("id", "panes")
    wide, high = panes.size["width"], panes.size["height"]
    return ActionChains(driver, duration=0).move_to_element_with_offset(
        panes, round((x - 0.5) * wide), round((y - 0.5) * high)
    )


def _off(driver):
    """The mouse off the slices, so that the foot tells of the cursor."""
    from selenium.webdriver import ActionChains

    ActionChains(driver, duration=0).move_to_element(driver.find_element("id", "panel")).perform()


def _button(driver, title):
    return next(one for one in driver.find_elements("css selector", "#panel button") if one.text == title)


def _structure(driver, name):
    return driver.find_element("xpath", f"//ul[@id='structures']/li/span[span='{name}']")


def _changed(driver, act, name="panes"):
    """The picture before and after something is done; it must have changed."""
    before = _still(driver, name)
    act()
    wait(lambda: not np.array_equal(pixels(driver, name), before), "the picture stayed the same")
    return before, _still(driver, name)


def _still(driver, name="panes"):
    """The picture once it stays the same for a while."""
    shots = [pixels(driver, name)]

    def same():
        time.sleep(0.3)
        shots.append(pixels(driver, name))
        return np.array_equal(shots[-1], shots[-2])

    wait(same, "the picture never rests")
    return shots[-1]


def _like(picture, color, within=24):
    return int((np.abs(picture.astype(int) - np.array(rgb_of(color))).max(axis=-1) < within).sum())


def _quarter(picture, row, column):
    high, wide = picture.shape[0] // 2, picture.shape[1] // 2
    return picture[row * high : (row + 1) * high, column * wide : (column + 1) * wide]


def test_a_click_moves_the_planes_and_tells_what_is_there(page):
    before, after = _changed(page, lambda: _mouse(page, 0.20, 0.22).click().perform())
    assert "liver" in _foot(page) and "HU" in _foot(page)
    changed = [_quarter(before, r, c) != _quarter(after, r, c) for r, c in ((0, 0), (1, 0), (1, 1))]
    assert all(quarter.mean() > 0.002 for quarter in changed)  # lines in all three, slices in two


def test_the_wheel_pages_through_slices(page):
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    _mouse(page, 0.25, 0.25).perform()
    before = wait(lambda: _voxel(page))
    panes = page.find_element("id", "panes")
    origin = ScrollOrigin.from_element(panes, -round(panes.size["width"] / 4), -round(panes.size["height"] / 4))

    def scroll():
        from selenium.webdriver import ActionChains

        ActionChains(page, duration=0).scroll_from_origin(origin, 0, -120).perform()

    _changed(page, scroll)
    wait(lambda: _voxel(page)[2] == before[2] + 1, "the wheel did not page to the next axial slice")


def test_keys_page_show_all_images_and_the_help(page):
    _off(page)
    z = wait(lambda: _voxel(page))[2]
    _keys(page, "f", "f")
    wait(lambda: _voxel(page)[2] == z + 2)
    _keys(page, "h")
    help_text = wait(lambda: page.find_elements("id", "help"))[0].text
    assert "next slice" in help_text and "measure a distance" in help_text
    _keys(page, "h")
    wait(lambda: not page.find_elements("id", "help"))
    _changed(page, lambda: _keys(page, "5"))
    wait(lambda: "on" in _button(page, "5 bone").get_attribute("class"))
    _, beside = _changed(page, lambda: _keys(page, "c"))
    assert _quarter(beside, 0, 0).std() > 10 and _quarter(beside, 1, 0).std() > 10  # CT above, MR below
    _changed(page, lambda: _keys(page, "c"))


def test_a_preset_and_a_drag_change_the_window(page):
    shown = next(one for one in page.find_elements("css selector", "#panel p") if one.text.startswith("window"))
    first = shown.text
    _changed(page, _button(page, "4 lung").click)
    wait(lambda: shown.text != first)
    mouse = _mouse(page, 0.25, 0.25)
    dragged = shown.text

    def drag():
        from selenium.webdriver.common.actions.mouse_button import MouseButton

        mouse.w3c_actions.pointer_action.pointer_down(button=MouseButton.RIGHT)
        mouse.w3c_actions.pointer_action.move_by(60, 0)
        mouse.w3c_actions.pointer_action.pointer_up(button=MouseButton.RIGHT)
        mouse.perform()

    _changed(page, drag)
    wait(lambda: shown.text != dragged)


def test_structures_hide_and_stand_alone_on_slices_and_in_3d(page, subject):
    from selenium.webdriver import ActionChains

    spleen, liver = subject.colors[4], subject.colors[2]

    def seen(color, column):
        return _like(_quarter(pixels(page, "panes"), 0, column), color, 60)

    # letters and lines of the planes are of nearly the same colours
    on_slice, in_3d = seen(liver, 0), seen(spleen, 1)
    assert on_slice > 500 and in_3d > 1500
    _structure(page, "spleen").click()
    wait(lambda: seen(spleen, 1) < 0.2 * in_3d, "the spleen is still in 3-D")
    assert seen(liver, 0) > 0.9 * on_slice
    _structure(page, "spleen").click()
    wait(lambda: seen(spleen, 1) > 0.9 * in_3d)
    time.sleep(0.6)  # or this click and the next two are one double click and a third
    ActionChains(page).double_click(_structure(page, "spleen")).perform()
    wait(lambda: seen(liver, 0) < 0.3 * on_slice, "the liver is still on the axial slice")
    assert seen(spleen, 1) > 0.9 * in_3d
    page.find_element("css selector", "#structures .off")


def test_the_opacity_slider_fades_the_labels(page):
    slider = page.find_element("id", "opacity")
    plain = pixels(page, "panes")

    def fade():
        from selenium.webdriver import ActionChains

        wide = slider.size["width"]
        ActionChains(page, duration=0).move_to_element_with_offset(slider, round(0.45 * wide), 0).click().perform()

    _, strong = _changed(page, fade)
    saturation = [np.ptp(_quarter(shot, 0, 0), axis=-1).mean() for shot in (plain, strong)]
    assert saturation[1] > 1.3 * saturation[0]
    assert int(slider.get_property("value")) > 85


def test_a_drag_turns_the_organs_and_a_double_click_makes_a_pane_large(page):
    def turn():
        mouse = _mouse(page, 0.75, 0.25)
        mouse.click_and_hold().move_by_offset(80, 10).release().perform()

    before, after = _changed(page, turn)
    assert (_quarter(before, 0, 1) != _quarter(after, 0, 1)).mean() > 0.02
    assert np.array_equal(_quarter(before, 1, 0)[40:-40, 40:-40], _quarter(after, 1, 0)[40:-40, 40:-40])
    _, large = _changed(page, lambda: _mouse(page, 0.25, 0.75).double_click().perform())
    bright = (large.mean(axis=-1) > 40).nonzero()
    assert np.ptp(bright[0]) > 0.9 * large.shape[0]  # the coronal slice from top to bottom
    _changed(page, lambda: _keys(page, "x"))


def test_cine_runs_and_stops(page):
    _off(page)
    seen = {wait(lambda: _voxel(page))}
    _keys(page, " ")
    wait(lambda: seen.add(_voxel(page)) or len(seen) > 2, "cine shows no further slices")
    _keys(page, " ")
    wait(lambda: "on" not in _button(page, "cine").get_attribute("class"))
    at = _voxel(page)
    assert all(_voxel(page) == at for _ in range(5))


def test_a_scene_is_drawn_anew_on_a_save_and_keeps_its_picture_on_a_mistake(driver, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SCENE)
    with Served(path) as page:
        driver.get(page.url)
        complaints(driver)  # of the page that was left
        _picture(driver)
        path.write_text(SCENE + "  stone: {kind: sphere, material: bone, inside: organ, radius: 5}\n")
        wait(lambda: driver.find_elements("xpath", "//li[span='stone']"), "the save did not arrive")
        _, broken = _changed(driver, lambda: path.write_text(SCENE.replace("liver", "livr")))
        said = wait(lambda: driver.find_elements("id", "error"))[0].text
        assert "small.yaml:9" in said and "livr" in said and "liver" in said
        assert _quarter(broken, 0, 0).std() > 10  # the last good picture stays below the message
        path.write_text(SCENE)
        wait(lambda: not driver.find_elements("id", "error"), "the mended scene still shows its mistake")
        _slide_and_reseed(driver)
        _save_and_leave_out(driver, tmp_path)
        path.unlink()
        said = wait(lambda: driver.find_elements("id", "error"))[0].text
        assert "no such file" in said
        assert complaints(driver) == []


def _slide_and_reseed(driver):
    slider = driver.find_element("css selector", "#vary-size")

    def to(share):
        from selenium.webdriver import ActionChains

        offset = round((share - 0.5) * slider.size["width"])
        ActionChains(driver, duration=0).move_to_element_with_offset(slider, offset, 0).click().perform()

    def red():
        return _like(_quarter(pixels(driver, "panes"), 0, 1), "#b33f3a", 60)

    to(0.05)
    wait(lambda: float(slider.get_property("value")) < 13)
    _changed(driver, lambda: to(0.95))
    wait(lambda: float(slider.get_property("value")) > 27)
    seed = driver.find_element("id", "seed")
    assert seed.text == "seed 4"
    _changed(driver, driver.find_element("class name", "next").click)
    wait(lambda: seed.text == "seed 5")


def _save_and_leave_out(driver, folder):
    from selenium.webdriver import ActionChains

    _button(driver, "save").click()
    wait(lambda: "saved as" in _foot(driver))
    assert (folder / "small_5.yaml").is_file()
    row = driver.find_element("xpath", "//li[span='organ']")
    ActionChains(driver).move_to_element(row).perform()
    row.find_element("tag name", "button").click()
    wait(lambda: not driver.find_elements("xpath", "//li[span='organ']"), "the organ is still drawn")
    driver.find_element("css selector", "#left-out button").click()
    wait(lambda: driver.find_elements("xpath", "//li[span='organ']"), "the organ does not come back")


def test_other_sites_and_paths_outside_are_refused(served):
    import urllib.error
    import urllib.request

    def status(path, **headers):
        try:
            with urllib.request.urlopen(urllib.request.Request(path, headers=headers)) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    base = served.url.rsplit("/", 1)[0]
    assert status(served.url) == 200
    assert status(served.url, Origin="http://evil.example") == 403
    assert status(served.url, Host="evil.example") == 403
    for path in ("/viscera/../page.py", "/viscera/%2e%2e/page.py", "/../../etc/passwd", "/viscera/..%2fpage.py"):
        assert status(base + path) in (403, 404)
