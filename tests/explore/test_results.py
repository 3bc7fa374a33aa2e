"""The results browser by mouse, finger and keyboard, on a wide page and a phone's (see `bare.py`)."""

import os

import numpy as np
import pytest
from bare import bare, chromium, needed

pytestmark = needed("playwright", "anywidget")
WIDTHS = {1280: 900, 390: 844}
SHOTS = os.environ.get("POSEGEN_SCREENSHOTS")


@pytest.fixture(scope="module")
def examples(one_person):
    from posegen.explore.browser import Examples

    images, keypoints = one_person
    return Examples(
        dict(
            condition=images[[0, 0, 0]],
            target=images[[2, 5, 9]],
            target_keypoints=keypoints[[2, 5, 9]],
            people=np.arange(3),
            crop_class=np.array(["full"] * 3),
            condition_names=np.array(list("abc")),
            target_names=np.array(list("def")),
            rows=np.array(["G1", "Triplet", "Nearest pose"]),
            reasons=np.array(["patterned"]),
            reasons_apply=np.array([[False], [True], [False]]),
            **{
                name: 255 - images[[2, 5, 9]] // part
                for name, part in (("G1", 1), ("Triplet", 2), ("Nearest pose", 3))
            },
            **{f"error {name}": np.float64([0.1, 0.3, 0.2]) for name in ("G1", "Triplet", "Nearest pose")},
        )
    )


@pytest.fixture(scope="module")
def pages(examples):
    from posegen.explore.browser import ResultsBrowser

    with chromium() as browser:
        yield {
            width: bare(browser, ResultsBrowser(examples, "three"), width, height)
            for width, height in WIDTHS.items()
        }


@pytest.fixture(params=WIDTHS)
def page(pages, request):
    page = pages[request.param]
    page.widget.place, page.widget.shown = 0, "G1"
    page.open()
    yield page
    assert not page.failures


def marked(page):
    return page.page.locator(".row-name[aria-pressed=true]").all_inner_texts()


def test_one_row_is_marked(page):
    page.click("Target")
    page.press("ArrowUp", "ArrowUp", "ArrowUp")
    assert marked(page) == [page.widget.shown] == ["Nearest pose"]
    assert page.page.evaluate("document.activeElement.textContent") == "Nearest pose"
    outlined = page.page.locator(".row-name").evaluate_all(
        "all => all.filter(one => getComputedStyle(one).outlineStyle !== 'none').map(one => one.textContent)"
    )
    assert outlined == ["Nearest pose"]


def test_side_by_side(page):
    page.click("side by side")
    left, right = (page.box(f".comparison img:nth-child({number})") for number in (1, 2))
    assert left["x"] + left["width"] <= right["x"] and abs(left["width"] - right["width"]) < 1
    assert left["y"] == right["y"] and page.page.get_by_text("Left: Target · right: G1").is_visible()
    page.picture(SHOTS, f"results_side_{page.page.viewport_size['width']}")
    page.click("one picture")
    assert not page.page.locator(".comparison img").first.is_visible()


@pytest.mark.parametrize("by", ["mouse", "finger", "keys"])
def test_wipe(page, by):
    "Left of the line is the target, right of it the result, wherever it is drawn to."
    page.click("wipe")
    box = page.box(".comparison")
    middle = box["y"] + box["height"] / 2
    if by == "keys":
        page.page.get_by_label("Wipe: target to the left").focus()
        page.press(*["ArrowLeft"] * 25)
    else:
        act = page.drag if by == "mouse" else page.touch
        act((box["x"] + box["width"] / 2, middle), (box["x"] + box["width"] / 4, middle))
    wiped = page.page.evaluate(
        "getComputedStyle(document.querySelector('.comparison')).getPropertyValue('--wipe')"
    )
    assert abs(float(wiped.strip("%")) - 25) <= 1 and page.widget.place == 0
    import io

    from PIL import Image

    shot = np.array(
        Image.open(io.BytesIO(page.page.locator(".comparison").screenshot())).convert("RGB")
    ).astype(float)
    target, result = (page.widget.examples.arrays[name][1] for name in ("target", "G1"))
    height, width = shot.shape[:2]
    at = lambda picture, x, y: picture[int(y * 48), int(x * 48)].astype(float)  # noqa: E731
    for x, y in ((0.1, 0.5), (0.15, 0.1), (0.4, 0.1), (0.9, 0.5)):
        near, far = (target, result) if x < 0.25 else (result, target)
        seen = shot[int(y * height), int(x * width)]
        assert np.abs(seen - at(near, x, y)).mean() < np.abs(seen - at(far, x, y)).mean()
    page.picture(SHOTS, f"results_wipe_{page.page.viewport_size['width']}")


def test_what_error_is(page):
    assert page.page.get_by_text("black and white are 2 apart").is_visible()
    assert page.box(".results-browser")["width"] <= page.page.viewport_size["width"]
