"The appearance editor by mouse and keyboard, on a wide page and a phone's (`bare.py`)."

import numpy as np
import pytest
from bare import bare, chromium, needed

pytestmark = needed("playwright", "anywidget")


@pytest.fixture(scope="module", params=[(900, 600), (390, 844)], ids=["wide", "phone"])
def page(request):
    from posegen.explore import appearance_editor

    with chromium() as browser:
        page = bare(browser, appearance_editor(), *request.param)
        yield page
        assert page.failures == []


def test_a_slider_moves_and_the_picture_follows(page):
    before = page.widget.picture
    slider = page.page.get_by_label("Direction 2", exact=True)
    slider.focus()
    page.page.keyboard.press("End")
    page.settled()
    assert page.widget.values == [0, 3, 0, 0, 0, 0]
    assert page.widget.picture != before
    assert page.page.locator(".reading").nth(1).text_content() == "3.0"


def test_another_appearance_sets_all_sliders_and_the_mean_sets_them_back(page):
    page.click("The mean")
    assert page.widget.values == [0] * 6
    mean = page.widget.picture
    page.click("Another appearance")
    shown = [float(slider.input_value()) for slider in page.page.get_by_role("slider").all()]
    assert np.allclose(shown, page.widget.values, atol=0.03) and all(page.widget.values)
    assert page.widget.picture != mean and page.widget.rest.norm() > 1
    page.click("The mean")
    assert page.widget.picture == mean


def test_the_photo_gives_its_own_appearance_and_a_failure_its_words(page):
    from posegen.explore.appearance import appearance_of

    page.click("From the photo")
    found = page.widget.directions @ appearance_of(page.widget.model, page.widget.sitter)
    assert np.allclose(page.widget.values, found.clamp(-3, 3), atol=1e-4)
    sitter = page.widget.sitter
    page.widget.sitter = sitter._replace(picture=np.zeros((128, 128, 3), np.uint8))
    page.click("From the photo")
    page.widget.sitter = sitter
    assert "128 pixels" in page.page.get_by_role("status").text_content()


def test_everything_is_on_the_page(page):
    width = page.page.viewport_size["width"]
    for box in [
        page.box(".appearance-editor img"),
        *(one.bounding_box() for one in page.page.get_by_role("slider").all()),
    ]:
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["width"] > 40
